"""A host in Python that reports through the agent. It needs only the standard library."""
import http.client, json, os, socket, sys


class Agent(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(os.environ["ROLLCALL_SOCKET"])


def ask(method, path, body=None):
    agent = Agent("localhost")
    agent.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
    answer = json.load(response := agent.getresponse())
    agent.close()
    if response.status != 200:
        raise ValueError(f"{method} {path}: {answer['error']}")
    return answer


def start():
    ask("PUT", "/v1/host", {"version": "1.2.3"})
    ask("PUT", "/v1/facts", {"store": "sqlite", "tls": True, "users": 42})
    if ask("GET", "/v1/consent")["telemetry"]["state"] == "unset":
        for field in ask("GET", "/v1/preview")["fields"]:
            print(field["name"], "=", field.get("value"), "-", field["reason"])
        print("Report this once a day, and codes of what fails? y or n:")
        if (answer := sys.stdin.readline().strip()) in ("y", "n"):
            ask("POST", "/v1/consent", {"telemetry": answer == "y", "health": answer == "y"})


try:
    start()  # and go on without telemetry if that fails
    try:
        open("missing.db")  # the work of the host
    except OSError:
        ask("POST", "/v1/faults", {"source": "startup", "component": "storage", "reason": "open-failed"})
except (OSError, ValueError, http.client.HTTPException) as error:
    print("telemetry:", error, file=sys.stderr)

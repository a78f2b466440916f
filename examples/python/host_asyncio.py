"""A host in Python with asyncio that reports through the agent. It needs only the standard library."""
import asyncio, json, os, sys


async def ask(method, path, body=None):
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_unix_connection(os.environ["ROLLCALL_SOCKET"])
        text = json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
        writer.write(head.encode() + text)
        head, _, answer = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
    if head.split()[1] != b"200":
        raise ValueError(f"{method} {path}: {answer.decode()}")
    return json.loads(answer)


async def start():
    await ask("PUT", "/v1/host", {"version": "1.2.3"})
    await ask("PUT", "/v1/facts", {"store": "sqlite", "tls": True, "users": 42})
    if (await ask("GET", "/v1/consent"))["telemetry"]["state"] == "unset":
        for field in (await ask("GET", "/v1/preview"))["fields"]:
            print(field["name"], "=", field.get("value"), "-", field["reason"])
        print("Report this once a day, and codes of what fails? y or n:")
        if (answer := (await asyncio.to_thread(sys.stdin.readline)).strip()) in ("y", "n"):
            await ask("POST", "/v1/consent", {"telemetry": answer == "y", "health": answer == "y"})


async def main():
    try:
        await start()  # and go on without telemetry if that fails
        try:
            open("missing.db")  # the work of the host
        except OSError:
            await ask("POST", "/v1/faults", {"source": "startup", "component": "storage", "reason": "open-failed"})
    except (OSError, ValueError) as error:
        print("telemetry:", error, file=sys.stderr)


asyncio.run(main())

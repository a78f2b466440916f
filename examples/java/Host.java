import java.io.*;
import java.net.URI;
import java.net.http.*;
import java.nio.file.*;
import java.time.Duration;
import java.util.Scanner;

/** A host in Java, 17 or later, that reports through the agent: java Host.java. It needs no library. */
class Host {
    static final HttpClient client = HttpClient.newHttpClient();

    static String ask(String method, String path, String body) throws IOException, InterruptedException {
        String token = Files.readString(Path.of(System.getenv("ROLLCALL_TOKEN_FILE"))).strip();
        var request = HttpRequest.newBuilder(URI.create(System.getenv("ROLLCALL_AGENT") + path)).timeout(Duration.ofSeconds(10))
            .header("Authorization", "Bearer " + token).header("Content-Type", "application/json")
            .method(method, HttpRequest.BodyPublishers.ofString(body)).build();
        var response = client.send(request, HttpResponse.BodyHandlers.ofString());
        if (response.statusCode() != 200) throw new IOException(method + " " + path + ": " + response.body());
        return response.body();
    }

    public static void main(String[] args) throws InterruptedException {
        try {
            ask("PUT", "/v1/host", "{\"version\": \"1.2.3\"}");
            ask("PUT", "/v1/facts", "{\"store\": \"sqlite\", \"tls\": true, \"users\": 42}");
            if (ask("GET", "/v1/consent", "").matches("(?s).*\"telemetry\":\\s*\\{\\s*\"state\":\\s*\"unset\".*")) {
                System.out.println(ask("GET", "/v1/preview", "") + "Report this once a day, and codes of what fails? y or n:");
                var in = new Scanner(System.in);
                String answer = in.hasNextLine() ? in.nextLine() : "";
                if (answer.matches("[yn]")) ask("POST", "/v1/consent", "{\"telemetry\": X, \"health\": X}".replace("X", "" + answer.equals("y")));
            }
            if (!Files.exists(Path.of("missing.db"))) // the work of the host
                ask("POST", "/v1/faults", "{\"source\": \"startup\", \"component\": \"storage\", \"reason\": \"open-failed\"}");
        } catch (IOException e) { // go on without telemetry
            System.err.println("telemetry: " + e.getMessage());
        }
    }
}

import com.google.gson.Gson;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * The adapter contract for clients in Java: commands in, events out, one JSON object per line.
 *
 * <p>Belongs here: what every adapter in Java needs. Does not belong here: a client library.
 */
final class Contract {
  /** Ends a command with an error of the contract. */
  static final class Unsuccessful extends RuntimeException {
    final JsonObject event = event("error");

    Unsuccessful(String error, String detail) {
      super(detail);
      event.addProperty("error", error);
      event.addProperty("detail", String.valueOf(detail));
    }
  }

  /** One client instance: what it does for each verb, and how it is let go. */
  interface Client {
    Map<String, Function<JsonObject, CompletableFuture<JsonObject>>> verbs();

    void abandon();
  }

  private static final PrintStream OUTPUT =
      new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8);
  private static Object current = new Object();

  static JsonObject event(String name) {
    JsonObject made = new JsonObject();
    made.addProperty("event", name);
    return made;
  }

  /** An answer that is there at once. */
  static CompletableFuture<JsonObject> done(JsonObject event) {
    return CompletableFuture.completedFuture(event);
  }

  static CompletableFuture<JsonObject> failed(String error, String detail) {
    return CompletableFuture.failedFuture(new Unsuccessful(error, detail));
  }

  /** A field as text, or null. */
  static String text(JsonObject from, String name) {
    JsonElement found = from.get(name);
    return found == null ? null : found.getAsString();
  }

  static int number(JsonObject from, String name) {
    JsonElement found = from.get(name);
    return found == null ? 0 : found.getAsInt();
  }

  static boolean flag(JsonObject from, String name) {
    JsonElement found = from.get(name);
    return found != null && found.getAsBoolean();
  }

  static byte[] bytes(JsonObject from, String name) {
    String found = text(from, name);
    return found == null ? null : Base64.getDecoder().decode(found);
  }

  static String base64(byte[] bytes) {
    return Base64.getEncoder().encodeToString(bytes);
  }

  static JsonObject object(JsonObject from, String name) {
    JsonObject found = from.getAsJsonObject(name);
    return found == null ? new JsonObject() : found;
  }

  static List<JsonElement> list(JsonObject from, String name) {
    JsonArray found = from.getAsJsonArray(name);
    return found == null ? List.of() : found.asList();
  }

  private static synchronized void write(Object of, JsonObject event) {
    if (of == current) {
      OUTPUT.print(new Gson().toJson(event) + "\n");
      OUTPUT.flush();
    }
  }

  private static synchronized Object renewed() {
    current = new Object();
    return current;
  }

  /** Serve standard input until it ends. What an abandoned client still says is nobody's business. */
  static void serve(JsonObject hello, Function<Consumer<JsonObject>, Client> made) throws IOException {
    System.setOut(System.err); // what a library prints is for the log
    Object[] of = {renewed()};
    Client client = made.apply(emitter(of[0]));
    BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line; (line = input.readLine()) != null; ) {
      JsonObject command = JsonParser.parseString(line).getAsJsonObject();
      String verb = text(command, "do");
      if (verb.equals("hello")) {
        answer(of[0], command, hello.deepCopy());
      } else if (verb.equals("reset") || verb.equals("exit")) {
        of[0] = renewed();
        client.abandon();
        client = made.apply(emitter(of[0]));
        answer(of[0], command, event(verb.equals("reset") ? "ready" : "bye"));
        if (verb.equals("exit")) {
          break;
        }
      } else {
        Object asked = of[0];
        begun(client.verbs().get(verb), command)
            .whenComplete((event, problem) -> answer(asked, command, problem == null ? event : error(problem)));
      }
    }
    System.exit(0); // whatever threads a library left
  }

  private static CompletableFuture<JsonObject> begun(
      Function<JsonObject, CompletableFuture<JsonObject>> verb, JsonObject command) {
    try {
      return verb == null ? failed("unsupported", "") : verb.apply(command);
    } catch (RuntimeException problem) {
      return CompletableFuture.failedFuture(problem);
    }
  }

  private static Consumer<JsonObject> emitter(Object of) {
    return event -> write(of, event);
  }

  private static void answer(Object of, JsonObject command, JsonObject event) {
    event.add("id", command.get("id"));
    write(of, event);
  }

  private static JsonObject error(Throwable problem) {
    Throwable cause = problem instanceof CompletionException ? problem.getCause() : problem;
    if (cause instanceof Unsuccessful unsuccessful) {
      return unsuccessful.event;
    }
    cause.printStackTrace();
    return new Unsuccessful("failed", cause.toString()).event;
  }

  private Contract() {}
}

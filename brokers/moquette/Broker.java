import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.moquette.broker.Server;
import io.moquette.broker.config.MemoryConfig;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;

/**
 * Moquette as a broker by name: what it is to be stands in a file.
 * Belongs here: those wishes in its configuration. Does not belong here: mending it.
 */
final class Broker {
  public static void main(String[] arguments) throws Exception {
    JsonObject asked = JsonParser.parseString(Files.readString(Path.of(arguments[0]))).getAsJsonObject();
    boolean isPersistent = asked.get("persistent").getAsBoolean();
    Properties settings = new Properties();
    settings.setProperty("host", asked.get("host").getAsString());
    settings.setProperty("port", asked.get("port").getAsString());
    settings.setProperty("allow_anonymous", "true");
    settings.setProperty("allow_zero_byte_client_id", "true");
    settings.setProperty("telemetry_enabled", "false");
    settings.setProperty("immediate_buffer_flush", "true"); // or up to 0.16 what it sends waits for a second
    settings.setProperty("netty.mqtt.message_size", "268435455"); // or it takes 8 KiB at most
    settings.setProperty("persistence_enabled", String.valueOf(isPersistent));
    settings.setProperty("data_path", asked.get("folder").getAsString());
    if (isPersistent) {
      // up to 0.16 it keeps nothing without this; 0.17 takes it for the two above
      settings.setProperty("persistent_store", asked.get("folder").getAsString() + "/moquette_store.h2");
    }
    Server server = new Server();
    server.startServer(new MemoryConfig(settings));
    Runtime.getRuntime().addShutdownHook(new Thread(server::stopServer));
  }
}

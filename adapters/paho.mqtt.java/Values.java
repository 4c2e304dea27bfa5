import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.util.*;
import java.util.function.*;
import org.eclipse.paho.mqttv5.client.*;
import org.eclipse.paho.mqttv5.common.*;
import org.eclipse.paho.mqttv5.common.packet.MqttProperties;
import org.eclipse.paho.mqttv5.common.packet.UserProperty;

/** The contract's values in those of Paho's Java client, there and back. Belongs here: nothing that is sent or waited for. */
final class Values {
  private static final int NOT_CONNECTED = 32104, LOST = 32109, FIRST_OF_ITS_OWN = 256;

  static MqttConnectionOptions options(JsonObject command) {
    JsonObject given = Contract.object(command, "properties");
    if (given.has("authentication_method")) throw new Contract.Unsuccessful("unsupported", "enhanced authentication");
    MqttConnectionOptions made = new MqttConnectionOptions();
    made.setAutomaticReconnect(false);
    made.setConnectionTimeout(0);
    made.setUseSubscriptionIdentifiers(false);
    made.setCleanStart(Contract.flag(command, "clean_start"));
    made.setKeepAliveInterval(Contract.number(command, "keep_alive"));
    made.setUserName(Contract.text(command, "username"));
    made.setPassword(Contract.bytes(command, "password"));
    ifThere(given, "session_expiry_interval", value -> made.setSessionExpiryInterval(value.getAsLong()));
    ifThere(given, "receive_maximum", value -> made.setReceiveMaximum(value.getAsInt()));
    ifThere(given, "maximum_packet_size", value -> made.setMaximumPacketSize(value.getAsLong()));
    ifThere(given, "topic_alias_maximum", value -> made.setTopicAliasMaximum(value.getAsInt()));
    ifThere(given, "request_response_information", value -> made.setRequestResponseInfo(value.getAsInt() == 1));
    ifThere(given, "request_problem_information", value -> made.setRequestProblemInfo(value.getAsInt() == 1));
    made.setUserProperties(users(given));
    if (command.has("will")) {
      JsonObject will = command.getAsJsonObject("will");
      MqttMessage message = message(will);
      made.setWill(Contract.text(will, "topic"), message);
      made.setWillMessageProperties(message.getProperties());
    }
    return made;
  }

  static MqttMessage message(JsonObject from) {
    byte[] payload = Contract.bytes(from, "payload");
    MqttProperties properties = properties(Contract.object(from, "properties"));
    return new MqttMessage(payload == null ? new byte[0] : payload, Contract.number(from, "qos"), Contract.flag(from, "retain"), properties);
  }

  static MqttSubscription subscription(JsonObject from) {
    MqttSubscription made = new MqttSubscription(Contract.text(from, "topic_filter"), Contract.number(from, "qos"));
    made.setNoLocal(Contract.flag(from, "no_local"));
    made.setRetainAsPublished(Contract.flag(from, "retain_as_published"));
    made.setRetainHandling(Contract.number(from, "retain_handling"));
    return made;
  }

  static MqttProperties properties(JsonObject from) {
    MqttProperties made = new MqttProperties();
    ifThere(from, "payload_format_indicator", value -> made.setPayloadFormat(value.getAsInt() == 1));
    ifThere(from, "message_expiry_interval", value -> made.setMessageExpiryInterval(value.getAsLong()));
    ifThere(from, "content_type", value -> made.setContentType(value.getAsString()));
    ifThere(from, "response_topic", value -> made.setResponseTopic(value.getAsString()));
    ifThere(from, "correlation_data", value -> made.setCorrelationData(Contract.bytes(from, "correlation_data")));
    ifThere(from, "will_delay_interval", value -> made.setWillDelayInterval(value.getAsLong()));
    ifThere(from, "session_expiry_interval", value -> made.setSessionExpiryInterval(value.getAsLong()));
    ifThere(from, "reason_string", value -> made.setReasonString(value.getAsString()));
    for (JsonElement each : Contract.list(from, "subscription_identifier")) made.setSubscriptionIdentifier(each.getAsInt());
    made.setUserProperties(users(from));
    return made;
  }

  static JsonObject of(MqttProperties from) {
    JsonObject made = new JsonObject();
    if (from == null) return made;
    if (from.getPayloadFormat()) made.addProperty("payload_format_indicator", 1);
    add(made, "message_expiry_interval", from.getMessageExpiryInterval());
    add(made, "content_type", from.getContentType());
    add(made, "response_topic", from.getResponseTopic());
    add(made, "correlation_data", from.getCorrelationData() == null ? null : Contract.base64(from.getCorrelationData()));
    add(made, "session_expiry_interval", from.getSessionExpiryInterval());
    add(made, "assigned_client_identifier", from.getAssignedClientIdentifier());
    add(made, "server_keep_alive", from.getServerKeepAlive());
    add(made, "response_information", from.getResponseInfo());
    add(made, "server_reference", from.getServerReference());
    add(made, "reason_string", from.getReasonString());
    add(made, "receive_maximum", from.getReceiveMaximum());
    add(made, "topic_alias_maximum", from.getTopicAliasMaximum());
    add(made, "maximum_packet_size", from.getMaximumPacketSize());
    made.add("subscription_identifier", numbers(from.getSubscriptionIdentifiers().stream().mapToInt(each -> each).toArray()));
    made.add("user_property", pairs(from.getUserProperties()));
    return made;
  }

  static JsonObject event(int number, String topic, MqttMessage message) {
    JsonObject event = Contract.event("message");
    event.addProperty("message", number);
    event.addProperty("topic", topic);
    event.addProperty("payload", Contract.base64(message.getPayload()));
    event.addProperty("qos", message.getQos());
    event.addProperty("retain", message.isRetained());
    event.add("properties", of(message.getProperties()));
    return event;
  }

  static JsonObject event(MqttDisconnectResponse said) {
    JsonObject event = Contract.event("disconnected"), properties = new JsonObject();
    boolean isTheirs = said.getException() == null;
    event.addProperty("by", isTheirs ? "broker" : "network");
    if (isTheirs) {
      event.addProperty("reason", said.getReturnCode());
      add(properties, "reason_string", said.getReasonString());
      add(properties, "server_reference", said.getServerReference());
      properties.add("user_property", pairs(said.getUserProperties() == null ? List.of() : said.getUserProperties()));
      event.add("properties", properties);
    }
    return event;
  }

  static Contract.Unsuccessful failure(IMqttToken token, Throwable problem) {
    int code = problem instanceof MqttException known ? known.getReasonCode() : NOT_CONNECTED;
    boolean isRefused = code > 0 && code < FIRST_OF_ITS_OWN;
    boolean isCut = code == LOST || code == NOT_CONNECTED || code == 0;
    var made = new Contract.Unsuccessful(isRefused ? "refused" : isCut ? "cut-off" : "failed", String.valueOf(problem));
    if (isRefused) {
      made.event.addProperty("reason", code);
      made.event.add("properties", of(token == null ? null : token.getResponseProperties()));
    }
    return made;
  }

  static JsonArray numbers(int[] from) {
    JsonArray list = new JsonArray();
    if (from != null) Arrays.stream(from).forEach(list::add);
    return list;
  }

  private static void add(JsonObject to, String name, Object value) {
    if (value instanceof Number number) to.addProperty(name, number);
    else if (value != null) to.addProperty(name, value.toString());
  }

  private static void ifThere(JsonObject properties, String name, Consumer<JsonElement> take) {
    if (properties.has(name)) take.accept(properties.get(name));
  }

  private static List<UserProperty> users(JsonObject properties) {
    List<UserProperty> made = new ArrayList<>();
    for (JsonElement each : Contract.list(properties, "user_property"))
      made.add(new UserProperty(each.getAsJsonArray().get(0).getAsString(), each.getAsJsonArray().get(1).getAsString()));
    return made;
  }

  private static JsonArray pairs(List<UserProperty> properties) {
    JsonArray list = new JsonArray();
    properties.forEach(each -> {
      JsonArray pair = new JsonArray();
      pair.add(each.getKey());
      pair.add(each.getValue());
      list.add(pair);
    });
    return list;
  }

  private Values() {}
}

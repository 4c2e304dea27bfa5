import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.hivemq.client.mqtt.datatypes.MqttQos;
import com.hivemq.client.mqtt.exceptions.ConnectionClosedException;
import com.hivemq.client.mqtt.exceptions.MqttClientStateException;
import com.hivemq.client.mqtt.exceptions.MqttSessionExpiredException;
import com.hivemq.client.mqtt.mqtt5.datatypes.Mqtt5UserProperties;
import com.hivemq.client.mqtt.mqtt5.exceptions.*;
import com.hivemq.client.mqtt.mqtt5.message.connect.connack.Mqtt5ConnAck;
import com.hivemq.client.mqtt.mqtt5.message.publish.*;
import com.hivemq.client.mqtt.mqtt5.message.subscribe.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.function.*;

/** The contract's values in those of the HiveMQ MQTT client, there and back. Belongs here: nothing that is sent or waited for. */
final class Values {
  static <T> CompletableFuture<JsonObject> answered(CompletableFuture<T> asked, Function<T, JsonObject> event) {
    return asked.thenApply(event).exceptionally(problem -> {
      Throwable cause = problem instanceof CompletionException ? problem.getCause() : problem;
      Integer reason = cause instanceof Mqtt5ConnAckException no ? no.getMqttMessage().getReasonCode().getCode()
          : cause instanceof Mqtt5PubAckException no ? no.getMqttMessage().getReasonCode().getCode()
          : cause instanceof Mqtt5PubRecException no ? no.getMqttMessage().getReasonCode().getCode() : null;
      if (cause instanceof Mqtt5SubAckException no)
        return withReasons("subscribed", no.getMqttMessage().getReasonCodes().stream().map(c -> c.getCode()).toList(), no.getMqttMessage().getUserProperties());
      if (cause instanceof Mqtt5UnsubAckException no)
        return withReasons("unsubscribed", no.getMqttMessage().getReasonCodes().stream().map(c -> c.getCode()).toList(), no.getMqttMessage().getUserProperties());
      boolean isCut = cause instanceof ConnectionClosedException || cause instanceof MqttClientStateException
          || cause instanceof MqttSessionExpiredException || cause instanceof Mqtt5DisconnectException;
      var failure = new Contract.Unsuccessful(reason != null ? "refused" : isCut ? "cut-off" : "failed", cause.toString());
      if (reason != null) failure.event.addProperty("reason", reason);
      throw failure;
    });
  }

  static JsonObject withReasons(String name, List<Integer> codes, Mqtt5UserProperties users) {
    JsonObject event = Contract.event(name), properties = new JsonObject();
    JsonArray reasons = new JsonArray();
    codes.forEach(reasons::add);
    event.add("reasons", reasons);
    properties.add("user_property", pairs(users));
    event.add("properties", properties);
    return event;
  }

  static JsonObject propertiesOf(Mqtt5ConnAck ack) {
    JsonObject properties = new JsonObject();
    ack.getSessionExpiryInterval().ifPresent(value -> properties.addProperty("session_expiry_interval", value));
    ack.getServerKeepAlive().ifPresent(value -> properties.addProperty("server_keep_alive", value));
    ack.getAssignedClientIdentifier().ifPresent(value -> properties.addProperty("assigned_client_identifier", value.toString()));
    ack.getResponseInformation().ifPresent(value -> properties.addProperty("response_information", value.toString()));
    ack.getServerReference().ifPresent(value -> properties.addProperty("server_reference", value.toString()));
    ack.getReasonString().ifPresent(value -> properties.addProperty("reason_string", value.toString()));
    properties.add("user_property", pairs(ack.getUserProperties()));
    return properties;
  }

  static Mqtt5Publish message(JsonObject from) {
    JsonObject properties = Contract.object(from, "properties");
    var made = Mqtt5Publish.builder().topic(Contract.text(from, "topic")).payload(Contract.bytes(from, "payload")).qos(qos(from))
        .retain(Contract.flag(from, "retain")).contentType(Contract.text(properties, "content_type"))
        .responseTopic(Contract.text(properties, "response_topic")).correlationData(Contract.bytes(properties, "correlation_data"))
        .userProperties(userProperties(properties));
    ifThere(properties, "message_expiry_interval", value -> made.messageExpiryInterval(value.getAsLong()));
    ifThere(properties, "payload_format_indicator", value -> made.payloadFormatIndicator(Mqtt5PayloadFormatIndicator.fromCode(value.getAsInt())));
    return made.build();
  }

  static MqttQos qos(JsonObject from) {
    return MqttQos.fromCode(Contract.number(from, "qos"));
  }

  /** These properties, where this one is not among them, which the client has no way for. */
  static JsonObject without(JsonObject properties, String name) {
    if (properties.has(name) && !properties.get(name).toString().equals("[]")) throw new Contract.Unsuccessful("unsupported", name);
    return properties;
  }

  static void ifThere(JsonObject properties, String name, Consumer<JsonElement> take) {
    if (properties.has(name)) take.accept(properties.get(name));
  }

  static Mqtt5UserProperties userProperties(JsonObject properties) {
    var made = Mqtt5UserProperties.builder();
    for (JsonElement each : Contract.list(properties, "user_property"))
      made.add(each.getAsJsonArray().get(0).getAsString(), each.getAsJsonArray().get(1).getAsString());
    return made.build();
  }

  static JsonArray pairs(Mqtt5UserProperties properties) {
    JsonArray list = new JsonArray();
    properties.asList().forEach(each -> {
      JsonArray pair = new JsonArray();
      pair.add(each.getName().toString());
      pair.add(each.getValue().toString());
      list.add(pair);
    });
    return list;
  }

  private Values() {}
}

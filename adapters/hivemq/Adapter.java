import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.hivemq.client.internal.mqtt.MqttClientConfig;
import com.hivemq.client.mqtt.MqttGlobalPublishFilter;
import com.hivemq.client.mqtt.lifecycle.MqttClientDisconnectedContext;
import com.hivemq.client.mqtt.lifecycle.MqttDisconnectSource;
import com.hivemq.client.mqtt.mqtt5.Mqtt5AsyncClient;
import com.hivemq.client.mqtt.mqtt5.Mqtt5Client;
import com.hivemq.client.mqtt.mqtt5.exceptions.*;
import com.hivemq.client.mqtt.mqtt5.message.connect.Mqtt5Connect;
import com.hivemq.client.mqtt.mqtt5.message.disconnect.Mqtt5DisconnectReasonCode;
import com.hivemq.client.mqtt.mqtt5.message.publish.*;
import com.hivemq.client.mqtt.mqtt5.message.subscribe.*;
import com.hivemq.client.mqtt.mqtt5.message.unsubscribe.Mqtt5Unsubscribe;
import java.util.*;
import java.util.concurrent.*;
import java.util.function.*;

/**
 * The HiveMQ MQTT client, its 5.0 half, behind the contract.
 * Belongs here: the contract's commands in its calls, what it tells as events. Does not belong here: mending it.
 */
final class Adapter implements Contract.Client {
  private static final String HELLO = "{'event':'hello','contract':1,'client':'hivemq','version':'1.3.7','mqtt':['5.0'],"
      // It chooses aliases by itself, and its messages tell neither DUP, packet nor subscription identifier.
      + "'unsupported':['auth','topic-alias','publish-offline','refuse-message','subscription-identifier','plain-subscribe']}";

  private final Consumer<JsonObject> emit;
  private final List<Mqtt5Publish> messages = new ArrayList<>();
  private Mqtt5AsyncClient client;
  private List<Object> madeFor;
  private volatile boolean isWanted;
  private volatile CompletableFuture<Void> ended = CompletableFuture.completedFuture(null);

  Adapter(Consumer<JsonObject> emit) { this.emit = emit; }

  @Override
  public Map<String, Function<JsonObject, CompletableFuture<JsonObject>>> verbs() {
    return Map.of("connect", this::connect, "subscribe", this::subscribe, "unsubscribe", this::unsubscribe,
        "publish", this::publish, "ack", this::ack, "disconnect", this::disconnect, "drop", this::drop);
  }

  private CompletableFuture<JsonObject> connect(JsonObject command) {
    abandon();
    List<Object> fixed = List.of(Contract.text(command, "client_id"), command.get("port"), Contract.flag(command, "manual_ack"));
    if (!fixed.equals(madeFor)) {
      client = newClient(command);
      madeFor = fixed;
    }
    JsonObject properties = Values.without(Contract.object(command, "properties"), "authentication_method");
    var connect = Mqtt5Connect.builder().cleanStart(Contract.flag(command, "clean_start")).keepAlive(Contract.number(command, "keep_alive"))
        .userProperties(Values.userProperties(properties));
    Values.ifThere(properties, "session_expiry_interval", value -> connect.sessionExpiryInterval(value.getAsLong()));
    var limits = connect.restrictions().sendTopicAliasMaximum(0);
    Values.ifThere(properties, "receive_maximum", value -> limits.receiveMaximum(value.getAsInt()));
    Values.ifThere(properties, "maximum_packet_size", value -> limits.maximumPacketSize(value.getAsInt()));
    limits.topicAliasMaximum(Contract.number(properties, "topic_alias_maximum"));
    Values.ifThere(properties, "request_problem_information", value -> limits.requestProblemInformation(value.getAsInt() == 1));
    Values.ifThere(properties, "request_response_information", value -> limits.requestResponseInformation(value.getAsInt() == 1));
    limits.applyRestrictions();
    if (command.has("username") || command.has("password")) {
      var login = connect.simpleAuth();
      var named = command.has("username") ? login.username(Contract.text(command, "username")) : null;
      byte[] password = Contract.bytes(command, "password");
      (password == null ? named : named == null ? login.password(password) : named.password(password)).applySimpleAuth();
    }
    if (command.has("will")) {
      JsonObject will = command.getAsJsonObject("will");
      var message = Values.message(will).asWill().extendAsWill();
      Values.ifThere(Contract.object(will, "properties"), "will_delay_interval", value -> message.delayInterval(value.getAsLong()));
      connect.willPublish(message.build());
    }
    isWanted = false;
    CompletableFuture<Void> end = ended = new CompletableFuture<>();
    BiConsumer<Object, Throwable> over = (ack, problem) -> { if (problem != null) end.complete(null); };
    return Values.answered(client.connect(connect.build()).whenComplete(over), ack -> {
      JsonObject event = Contract.event("connected");
      event.addProperty("session_present", ack.isSessionPresent());
      event.add("properties", Values.propertiesOf(ack));
      return event;
    });
  }

  private Mqtt5AsyncClient newClient(JsonObject command) {
    var builder = Mqtt5Client.builder().identifier(Contract.text(command, "client_id")).serverHost(Contract.text(command, "host"))
        .serverPort(Contract.number(command, "port")).addDisconnectedListener(this::disconnected);
    Mqtt5AsyncClient made = builder.buildAsync();
    // What it gives messages to ends with the session; an application that goes on begins it again.
    made.toRx().publishes(MqttGlobalPublishFilter.ALL, Contract.flag(command, "manual_ack")).retry().subscribe(this::received);
    return made;
  }

  private CompletableFuture<JsonObject> subscribe(JsonObject command) {
    List<Mqtt5Subscription> wanted = Contract.list(command, "subscriptions").stream().map(JsonElement::getAsJsonObject)
        .map(each -> Mqtt5Subscription.builder().topicFilter(Contract.text(each, "topic_filter")).qos(Values.qos(each))
            .noLocal(Contract.flag(each, "no_local")).retainAsPublished(Contract.flag(each, "retain_as_published"))
            .retainHandling(Mqtt5RetainHandling.fromCode(Contract.number(each, "retain_handling"))).build()).toList();
    JsonObject properties = Values.without(Contract.object(command, "properties"), "subscription_identifier");
    var packet = Mqtt5Subscribe.builder().addSubscriptions(wanted).userProperties(Values.userProperties(properties));
    return Values.answered(connected().subscribe(packet.build()), ack -> Values.withReasons("subscribed",
        ack.getReasonCodes().stream().map(code -> code.getCode()).toList(), ack.getUserProperties()));
  }

  private CompletableFuture<JsonObject> unsubscribe(JsonObject command) {
    List<JsonElement> filters = Contract.list(command, "topic_filters");
    var packet = Mqtt5Unsubscribe.builder().topicFilter(filters.get(0).getAsString());
    filters.stream().skip(1).forEach(each -> packet.addTopicFilter(each.getAsString()));
    Mqtt5Unsubscribe made = packet.userProperties(Values.userProperties(Contract.object(command, "properties"))).build();
    return Values.answered(connected().unsubscribe(made), ack -> Values.withReasons("unsubscribed",
        ack.getReasonCodes().stream().map(code -> code.getCode()).toList(), ack.getUserProperties()));
  }

  private CompletableFuture<JsonObject> publish(JsonObject command) {
    Values.without(Contract.object(command, "properties"), "topic_alias");
    return Values.answered(connected().publish(Values.message(command)), result -> {
      if (result.getError().isPresent()) throw new CompletionException(result.getError().get());
      return Contract.event("published");
    });
  }

  private CompletableFuture<JsonObject> ack(JsonObject command) {
    if (Contract.number(command, "reason") != 0) return Contract.failed("unsupported", "it acknowledges with success only");
    synchronized (messages) {
      messages.get(Contract.number(command, "message") - 1).acknowledge();
    }
    return Contract.done(Contract.event("acked"));
  }

  private CompletableFuture<JsonObject> disconnect(JsonObject command) {
    JsonObject properties = Contract.object(command, "properties");
    var packet = connected().disconnectWith().reasonCode(Mqtt5DisconnectReasonCode.fromCode(Contract.number(command, "reason")))
        .userProperties(Values.userProperties(properties)).reasonString(Contract.text(properties, "reason_string"));
    Values.ifThere(properties, "session_expiry_interval", value -> packet.sessionExpiryInterval(value.getAsLong()));
    isWanted = true;
    return Values.answered(packet.send().thenCombine(ended, (sent, end) -> end), end -> Contract.event("disconnected"));
  }

  private CompletableFuture<JsonObject> drop(JsonObject command) {
    abandon();
    return Contract.done(Contract.event("dropped"));
  }

  /** Close the network connection beneath the client, and wait until the client noticed. */
  @Override
  public void abandon() {
    isWanted = true;
    var connection = client == null ? null : ((MqttClientConfig) client.getConfig()).getRawConnectionConfig();
    if (connection != null) {
      connection.getChannel().close();
      ended.completeOnTimeout(null, 1, TimeUnit.SECONDS).join();
    }
  }

  private Mqtt5AsyncClient connected() {
    if (client == null || !client.getState().isConnected()) throw new Contract.Unsuccessful("cut-off", "there is no connection");
    return client;
  }

  private void disconnected(MqttClientDisconnectedContext context) {
    boolean isNews = !isWanted && context.getClientConfig().getState().isConnected();
    ended.complete(null);
    if (!isNews) return;
    JsonObject event = Contract.event("disconnected");
    if (context.getCause() instanceof Mqtt5DisconnectException said && context.getSource() == MqttDisconnectSource.SERVER) {
      event.addProperty("by", "broker");
      event.addProperty("reason", said.getMqttMessage().getReasonCode().getCode());
    } else event.addProperty("by", context.getSource() == MqttDisconnectSource.CLIENT ? "client" : "network");
    emit.accept(event);
  }

  private void received(Mqtt5Publish publish) {
    JsonObject event = Contract.event("message"), properties = new JsonObject();
    synchronized (messages) {
      messages.add(publish);
      event.addProperty("message", messages.size());
    }
    event.addProperty("topic", publish.getTopic().toString());
    event.addProperty("payload", Contract.base64(publish.getPayloadAsBytes()));
    event.addProperty("qos", publish.getQos().getCode());
    event.addProperty("retain", publish.isRetain());
    publish.getPayloadFormatIndicator().ifPresent(value -> properties.addProperty("payload_format_indicator", value.getCode()));
    publish.getMessageExpiryInterval().ifPresent(value -> properties.addProperty("message_expiry_interval", value));
    publish.getContentType().ifPresent(value -> properties.addProperty("content_type", value.toString()));
    publish.getResponseTopic().ifPresent(value -> properties.addProperty("response_topic", value.toString()));
    publish.getCorrelationData().ifPresent(value -> {
      byte[] bytes = new byte[value.remaining()];
      value.duplicate().get(bytes);
      properties.addProperty("correlation_data", Contract.base64(bytes));
    });
    properties.add("user_property", Values.pairs(publish.getUserProperties()));
    event.add("properties", properties);
    emit.accept(event);
  }

  public static void main(String[] arguments) throws Exception {
    Contract.serve(JsonParser.parseString(HELLO.replace('\'', '"')).getAsJsonObject(), Adapter::new);
  }
}

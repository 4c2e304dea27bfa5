import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.util.*;
import java.util.concurrent.*;
import java.util.function.*;
import org.eclipse.paho.mqttv5.client.*;
import org.eclipse.paho.mqttv5.client.persist.MemoryPersistence;
import org.eclipse.paho.mqttv5.common.*;
import org.eclipse.paho.mqttv5.common.packet.MqttProperties;

/**
 * Paho's Java client for 5.0 behind the contract.
 * Belongs here: the contract's commands in its calls, what it tells as events. Does not belong here: mending it.
 */
final class Adapter implements Contract.Client, MqttCallback {
  private static final String HELLO = "{'event':'hello','contract':1,'client':'paho.mqtt.java','version':'1.2.5','mqtt':['5.0'],"
      + "'unsupported':['auth','publish-offline','refuse-message','topic-alias']}"; // it chooses aliases by itself

  private final Consumer<JsonObject> emit;
  private final List<MqttMessage> messages = new ArrayList<>();
  private final Sockets sockets = new Sockets();
  private MqttAsyncClient client;
  private List<Object> madeFor;
  private volatile boolean isConnected, isWanted;
  private volatile CompletableFuture<Void> ended = CompletableFuture.completedFuture(null);

  Adapter(Consumer<JsonObject> emit) { this.emit = emit; }

  /** What the library is to call. */
  private interface Call {
    void with(MqttActionListener listener) throws MqttException;
  }

  @Override
  public Map<String, Function<JsonObject, CompletableFuture<JsonObject>>> verbs() {
    return Map.of("connect", this::connect, "subscribe", this::subscribe, "unsubscribe", this::unsubscribe,
        "publish", this::publish, "ack", this::ack, "disconnect", this::disconnect, "drop", this::drop);
  }

  private CompletableFuture<JsonObject> connect(JsonObject command) {
    cut();
    String address = "tcp://" + Contract.text(command, "host") + ":" + Contract.number(command, "port");
    List<Object> fixed = List.of(address, Contract.text(command, "client_id"));
    if (!fixed.equals(madeFor)) {
      try {
        client = new MqttAsyncClient(address, Contract.text(command, "client_id"), new MemoryPersistence());
      } catch (MqttException problem) {
        return CompletableFuture.failedFuture(problem);
      }
      client.setCallback(this);
      madeFor = fixed;
    }
    client.setManualAcks(Contract.flag(command, "manual_ack"));
    MqttConnectionOptions options = Values.options(command);
    options.setSocketFactory(sockets);
    ended = new CompletableFuture<>();
    isWanted = false;
    return asked(listener -> client.connect(options, null, listener), token -> {
      isConnected = true;
      JsonObject event = Contract.event("connected");
      event.addProperty("session_present", token.getSessionPresent());
      event.addProperty("reason", 0);
      event.add("properties", Values.of(token.getResponseProperties()));
      return event;
    }).whenComplete((event, problem) -> { if (problem != null) ended.complete(null); });
  }

  private CompletableFuture<JsonObject> subscribe(JsonObject command) {
    MqttSubscription[] wanted = Contract.list(command, "subscriptions").stream().map(JsonElement::getAsJsonObject)
        .map(Values::subscription).toArray(MqttSubscription[]::new);
    MqttProperties properties = Values.properties(Contract.object(command, "properties"));
    return asked(listener -> there().subscribe(wanted, null, listener, properties), token -> answer("subscribed", token));
  }

  private CompletableFuture<JsonObject> unsubscribe(JsonObject command) {
    String[] filters = Contract.list(command, "topic_filters").stream().map(JsonElement::getAsString).toArray(String[]::new);
    MqttProperties properties = Values.properties(Contract.object(command, "properties"));
    return asked(listener -> there().unsubscribe(filters, null, listener, properties), token -> answer("unsubscribed", token));
  }

  private CompletableFuture<JsonObject> publish(JsonObject command) {
    if (Contract.object(command, "properties").has("topic_alias")) return Contract.failed("unsupported", "it chooses aliases by itself");
    MqttMessage message = Values.message(command);
    return asked(listener -> there().publish(Contract.text(command, "topic"), message, null, listener), token -> {
      JsonObject event = Contract.event("published");
      int[] codes = token.getReasonCodes();
      if (codes != null && codes.length > 0 && codes[0] >= 0x80) throw Values.failure(token, new MqttException(codes[0]));
      if (codes != null && codes.length > 0) event.addProperty("reason", codes[0]);
      event.add("properties", Values.of(token.getResponseProperties()));
      return event;
    });
  }

  private CompletableFuture<JsonObject> ack(JsonObject command) {
    if (Contract.number(command, "reason") != 0) return Contract.failed("unsupported", "it acknowledges with success only");
    synchronized (messages) {
      MqttMessage message = messages.get(Contract.number(command, "message") - 1);
      try {
        there().messageArrivedComplete(message.getId(), message.getQos());
      } catch (MqttException problem) {
        return Contract.failed("failed", problem.toString());
      }
    }
    return Contract.done(Contract.event("acked"));
  }

  private CompletableFuture<JsonObject> disconnect(JsonObject command) {
    MqttProperties properties = Values.properties(Contract.object(command, "properties"));
    isWanted = true;
    return asked(listener -> there().disconnect(0, null, listener, Contract.number(command, "reason"), properties), token -> {
      isConnected = false;
      return Contract.event("disconnected");
    });
  }

  private CompletableFuture<JsonObject> drop(JsonObject command) {
    cut();
    return Contract.done(Contract.event("dropped"));
  }

  @Override
  public void abandon() { cut(); }

  /** Close the network connection beneath the client, and wait until the client noticed. */
  private void cut() {
    isWanted = true;
    sockets.close();
    if (isConnected) ended.completeOnTimeout(null, 1, TimeUnit.SECONDS).join();
    isConnected = false;
  }

  private MqttAsyncClient there() {
    if (client == null || !isConnected) throw new Contract.Unsuccessful("cut-off", "there is no connection");
    return client;
  }

  private static CompletableFuture<JsonObject> asked(Call call, Function<IMqttToken, JsonObject> event) {
    CompletableFuture<JsonObject> done = new CompletableFuture<>();
    try {
      call.with(new MqttActionListener() {
        @Override
        public void onSuccess(IMqttToken token) { done.completeAsync(() -> event.apply(token), Runnable::run); }

        @Override
        public void onFailure(IMqttToken token, Throwable problem) { done.completeExceptionally(Values.failure(token, problem)); }
      });
    } catch (MqttException problem) {
      done.completeExceptionally(Values.failure(null, problem));
    }
    return done;
  }

  private static JsonObject answer(String name, IMqttToken token) {
    JsonObject event = Contract.event(name);
    event.add("reasons", Values.numbers(token.getReasonCodes()));
    event.add("properties", Values.of(token.getResponseProperties()));
    return event;
  }

  // what the library brings

  @Override
  public void messageArrived(String topic, MqttMessage message) {
    synchronized (messages) {
      messages.add(message);
      emit.accept(Values.event(messages.size(), topic, message));
    }
  }

  @Override
  public void disconnected(MqttDisconnectResponse said) {
    boolean isNews = isConnected && !isWanted;
    isConnected = false;
    ended.complete(null);
    if (isNews) emit.accept(Values.event(said));
  }

  @Override
  public void mqttErrorOccurred(MqttException problem) { problem.printStackTrace(); }

  @Override
  public void deliveryComplete(IMqttToken token) {}

  @Override
  public void connectComplete(boolean isAgain, String address) {}

  @Override
  public void authPacketArrived(int reason, MqttProperties properties) {}

  public static void main(String[] arguments) throws Exception {
    Contract.serve(JsonParser.parseString(HELLO.replace('\'', '"')).getAsJsonObject(), Adapter::new);
  }
}

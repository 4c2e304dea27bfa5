/* Paho's asynchronous client in C behind the contract.
 * Belongs here: the contract's commands in its calls. Does not belong here: what it brings (`events.h`), mending it. */
#include "events.h"
#include <arpa/inet.h>
#include <locale.h>
#include <sys/socket.h>

/* It acknowledges by itself, has no AUTH, and gives an aliased message without its topic. Over WebSocket its
 * process ended in the course of a run, so that is not offered. */
#define HELLO "{'event':'hello','contract':1,'client':'paho.mqtt.c','version':'1.3.12','mqtt':['3.1','3.1.1','5.0']," \
  "'transports':['tcp','tls'],'unsupported':['manual-ack','refuse-message','auth','topic-alias-inbound'," \
  "'publish-offline']}"

static MQTTAsync client;
static char made_for[512]; /* what is fixed when a client is made */
static int messages, port;
static bool is_connected, is_wanted; /* whether the end of the connection is what the application asked for */

/* What a call of the library is to bring, and for whom. */
static MQTTAsync_responseOptions response_to(enum verb verb, int count, int id, const cJSON *command) {
  MQTTAsync_responseOptions made = MQTTAsync_responseOptions_initializer;
  made.context = CONTEXT(verb, count, id);
  if (version == 5) made.onSuccess5 = on_success_5, made.onFailure5 = on_failure_5, made.properties = properties_of(command);
  else made.onSuccess = on_success, made.onFailure = on_failure;
  return made;
}

/* How a call went that is answered later. */
static cJSON *result(int problem, enum verb verb, int id) {
  if (problem == MQTTASYNC_SUCCESS) return expect(verb, id, id), NULL;
  return error(problem == MQTTASYNC_DISCONNECTED ? "cut-off" : "failed", MQTTAsync_strerror(problem));
}

/* ---- what came -------------------------------------------------------------------------------------------------- */

static void take_end(cJSON *said) {
  bool is_told = is_connected && !is_wanted;
  is_connected = false, cut_off(false);
  is_told ? say(UNASKED, said) : cJSON_Delete(said);
}

static void take(const struct news *one) {
  bool is_end = one->id == UNASKED && one->verb == VERBS, is_good = !cJSON_HasObjectItem(one->said, "error");
  if (one->generation != generation) cJSON_Delete(one->said);
  else if (is_end) take_end(one->said);
  else if (one->id == UNASKED) {
    cJSON_SetNumberValue(cJSON_GetObjectItem(one->said, "message"), ++messages);
    say(UNASKED, one->said);
  } else {
    if (one->verb == CONNECT) is_connected = is_good;
    say(settle(one->verb, one->id), one->said);
  }
}

/* Take what came; false when nothing did within the time. */
static bool take_next(int patience_ms) {
  struct pollfd ready = {.fd = brought[0], .events = POLLIN};
  struct news *one;
  if (poll(&ready, 1, patience_ms) < 1 || read(brought[0], &one, sizeof one) != sizeof one) return false;
  take(one);
  free(one);
  return true;
}

/* ---- commands --------------------------------------------------------------------------------------------------- */

/* End the connection beneath the library, which tells nobody its socket, and wait until it noticed. */
static void cut(void) {
  is_wanted = true;
  for (int fd = 3; client && fd < 256; fd++) {
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0 && ntohs(peer.sin_port) == port) shutdown(fd, SHUT_RDWR);
  }
  while (is_connected && take_next(1000)) continue;
}

static void abandon(void) {
  cut();
  generation++, messages = 0;
  if (client) MQTTAsync_destroy(&client);
  client = NULL;
}

static int make_client(const cJSON *command, const char *address) {
  MQTTAsync_createOptions options = MQTTAsync_createOptions_initializer;
  options.MQTTVersion = version;
  if (client) MQTTAsync_destroy(&client), cut_off(true), generation++;
  int problem = MQTTAsync_createWithOptions(&client, address, text_of(command, "client_id"), MQTTCLIENT_PERSISTENCE_NONE, NULL,
    &options);
  if (problem) return client = NULL, problem;
  MQTTAsync_setCallbacks(client, NULL, on_loss, on_message, NULL), MQTTAsync_setDisconnected(client, NULL, on_disconnected);
  return problem;
}

static cJSON *do_connect(const cJSON *command, int id) {
  const char *trust = text_of(command, "ca_file");
  const cJSON *will = cJSON_GetObjectItem(command, "will");
  char address[300], wanted[sizeof made_for];
  cut();
  port = number_of(command, "port"), version = level_of(command);
  snprintf(address, sizeof address, "%s://%s:%d", trust ? "ssl" : "tcp", text_of(command, "host"), port);
  snprintf(wanted, sizeof wanted, "%s %.150s %d", address, text_of(command, "client_id"), version);
  int problem = client && strcmp(wanted, made_for) == 0 ? MQTTASYNC_SUCCESS : make_client(command, address);
  if (problem) return result(problem, CONNECT, id);
  strcpy(made_for, wanted);
  MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer, options_5 = MQTTAsync_connectOptions_initializer5;
  MQTTAsync_responseOptions response = response_to(CONNECT, 0, id, command);
  MQTTProperties of_will = properties_of(will);
  if (version == 5) options = options_5, options.cleanstart = flag_of(command, "clean_start");
  else options.MQTTVersion = version, options.cleansession = flag_of(command, "clean_start");
  options.keepAliveInterval = number_of(command, "keep_alive"), options.connectTimeout = 3600;
  options.onSuccess = response.onSuccess, options.onFailure = response.onFailure, options.context = response.context;
  options.onSuccess5 = response.onSuccess5, options.onFailure5 = response.onFailure5;
  if (version == 5) options.connectProperties = &response.properties;
  MQTTAsync_willOptions last = MQTTAsync_willOptions_initializer;
  if (will) {
    last.topicName = text_of(will, "topic"), last.qos = number_of(will, "qos"), last.retained = flag_of(will, "retain");
    last.payload.data = decoded(text_of(will, "payload"), &last.payload.len), options.will = &last;
    if (version == 5) options.willProperties = &of_will;
  }
  MQTTAsync_SSLOptions trusted = MQTTAsync_SSLOptions_initializer;
  trusted.trustStore = trust, trusted.verify = 1;
  if (trust) options.ssl = &trusted;
  options.username = text_of(command, "username");
  options.binarypwd.data = decoded(text_of(command, "password"), &options.binarypwd.len);
  is_wanted = false;
  problem = MQTTAsync_connect(client, &options);
  MQTTProperties_free(&response.properties), MQTTProperties_free(&of_will);
  free((void *)last.payload.data), free((void *)options.binarypwd.data);
  return result(problem, CONNECT, id);
}

static cJSON *do_subscribe(const cJSON *command, int id) {
  struct filters list = filters_of(command);
  MQTTAsync_responseOptions response = response_to(SUBSCRIBE, list.count, id, command);
  int levels[1024];
  MQTTSubscribe_options each[1024], plain = MQTTSubscribe_options_initializer;
  for (int at = 0; at < list.count; at++) {
    levels[at] = list.options[at] & 3, each[at] = plain;
    each[at].noLocal = list.options[at] >> 2 & 1, each[at].retainAsPublished = list.options[at] >> 3 & 1;
    each[at].retainHandling = (unsigned char)(list.options[at] >> 4);
  }
  response.subscribeOptions = each[0];
  response.subscribeOptionsCount = list.count, response.subscribeOptionsList = each;
  int problem = client ? MQTTAsync_subscribeMany(client, list.count, list.filters, levels, &response) : MQTTASYNC_DISCONNECTED;
  MQTTProperties_free(&response.properties);
  return result(problem, SUBSCRIBE, id);
}

static cJSON *do_unsubscribe(const cJSON *command, int id) {
  struct filters list = filters_of(command);
  MQTTAsync_responseOptions response = response_to(UNSUBSCRIBE, list.count, id, command);
  int problem = client ? MQTTAsync_unsubscribeMany(client, list.count, list.filters, &response) : MQTTASYNC_DISCONNECTED;
  MQTTProperties_free(&response.properties);
  return result(problem, UNSUBSCRIBE, id);
}

static cJSON *do_publish(const cJSON *command, int id) {
  MQTTAsync_responseOptions response = response_to(PUBLISH, 0, id, command);
  MQTTAsync_message message = MQTTAsync_message_initializer;
  message.payload = decoded(text_of(command, "payload"), &message.payloadlen);
  message.qos = number_of(command, "qos"), message.retained = flag_of(command, "retain");
  message.properties = response.properties;
  int problem = client ? MQTTAsync_sendMessage(client, text_of(command, "topic"), &message, &response) : MQTTASYNC_DISCONNECTED;
  free(message.payload), MQTTProperties_free(&response.properties);
  return result(problem, PUBLISH, id);
}

static cJSON *do_disconnect(const cJSON *command, int id) {
  MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer, options_5 = MQTTAsync_disconnectOptions_initializer5;
  if (version == 5) options = options_5, options.properties = properties_of(command);
  options.reasonCode = (enum MQTTReasonCodes)number_of(command, "reason");
  if (!client || !is_connected) return error("cut-off", "there is no connection");
  is_wanted = true;
  int problem = MQTTAsync_disconnect(client, &options);
  while (MQTTAsync_isConnected(client)) usleep(1000);
  is_connected = false, cut_off(false);
  return problem ? error("failed", MQTTAsync_strerror(problem)) : with_text(event("disconnected"), "by", "client");
}

static cJSON *do_drop(const cJSON *command, int id) { return cut(), event("dropped"); }

static void turn(struct pollfd *standard_input) {
  struct pollfd both[2] = {*standard_input, {.fd = brought[0], .events = POLLIN}};
  poll(both, 2, -1);
  while (take_next(0)) continue;
  *standard_input = both[0];
}

int main(void) {
  static const struct command commands[] = {{"connect", do_connect}, {"subscribe", do_subscribe},
    {"unsubscribe", do_unsubscribe}, {"publish", do_publish}, {"disconnect", do_disconnect}, {"drop", do_drop}, {0}};
  if (pipe(brought) < 0 || !setlocale(LC_CTYPE, "C.UTF-8")) return 1;
  serve(HELLO, commands, abandon, turn);
}

/* libmosquitto behind the contract, in one thread, on its functions for external event loops.
 * Belongs here: the contract's commands in libmosquitto's calls, its callbacks as events. Does not belong here: mending it. */
#include "../shared/properties.h"
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <sys/socket.h>

/* Its application cannot acknowledge, has no AUTH, gets an aliased message without its topic; 5 s is the least keep alive. */
#define VERSION STRING(LIBMOSQUITTO_MAJOR) "." STRING(LIBMOSQUITTO_MINOR) "." STRING(LIBMOSQUITTO_REVISION)
#define HELLO "{'event':'hello','contract':1,'client':'libmosquitto','version':'" VERSION "','mqtt':['3.1','3.1.1','5.0']," \
  "'transports':['tcp','tls'],'unsupported':['manual-ack','refuse-message','auth','keep-alive','topic-alias-inbound']}"

typedef const mosquitto_property properties;
static struct mosquitto *client;
static char made_for[512]; /* what libmosquitto fixes when a client is made */
static int version;

static void take_property(void *list, const struct property *one) {
  mosquitto_property **to = list;
  int id = one->identifier;
  if (one->type == BYTE) mosquitto_property_add_byte(to, id, (uint8_t)one->number);
  if (one->type == TWO_BYTES) mosquitto_property_add_int16(to, id, (uint16_t)one->number);
  if (one->type == FOUR_BYTES) mosquitto_property_add_int32(to, id, one->number);
  if (one->type == VARIABLE_BYTES) mosquitto_property_add_varint(to, id, one->number);
  if (one->type == BINARY) mosquitto_property_add_binary(to, id, one->bytes, (uint16_t)one->length);
  if (one->type == TEXT) mosquitto_property_add_string(to, id, one->bytes);
  if (one->type == TEXT_PAIR) mosquitto_property_add_string_pair(to, id, one->bytes, one->second);
}

/* Those of a command, until they are asked for the next time. */
static mosquitto_property *properties_of(const cJSON *command) {
  static mosquitto_property *made;
  mosquitto_property_free_all(&made);
  if (version == MQTT_PROTOCOL_V5) each_property(command, take_property, &made);
  return made;
}

static void add_properties(cJSON *to, const mosquitto_property *at) {
  for (; at; at = mosquitto_property_next(at)) {
    int id = mosquitto_property_identifier(at);
    uint8_t byte = 0; uint16_t two = 0, length = 0; uint32_t four = 0; char *text = 0, *name = 0, *value = 0; void *bytes = 0;
    /* Each of these reads only what is of its type. */
    mosquitto_property_read_byte(at, id, &byte, false), mosquitto_property_read_int16(at, id, &two, false);
    mosquitto_property_read_int32(at, id, &four, false), mosquitto_property_read_varint(at, id, &four, false);
    mosquitto_property_read_binary(at, id, &bytes, &length, false), mosquitto_property_read_string(at, id, &text, false);
    mosquitto_property_read_string_pair(at, id, &name, &value, false);
    struct property one = {.identifier = id, .number = byte + two + four, .bytes = name ? name : bytes ? bytes : text,
      .length = length, .second = value};
    add_property(to, &one);
    free(text), free(name), free(value), free(bytes);
  }
}

static cJSON *with_properties(cJSON *said, properties *list) { return add_properties(said, list), said; }

static void on_connect(struct mosquitto *c, void *u, int reason, int flags, properties *list) {
  cJSON *said = acknowledged("connected", reason != 0, reason);
  if (reason == 0 && version != MQTT_PROTOCOL_V31) cJSON_AddBoolToObject(said, "session_present", flags & 1);
  say(settle(CONNECT, 0), with_properties(said, list));
}

static void on_disconnect(struct mosquitto *c, void *u, int reason, properties *list) {
  bool is_said = reason == 0 || reason >= 128; /* others are its own codes */
  cut_off(false);
  cJSON *said = acknowledged("disconnected", false, is_said ? reason : -1);
  say(UNASKED, with_properties(with_text(said, "by", is_said ? "broker" : "network"), list));
}

static void on_message(struct mosquitto *c, void *u, const struct mosquitto_message *came, properties *list) {
  cJSON *said = message_event(0, came->topic, came->payload, came->payloadlen, came->qos, came->retain, came->mid);
  say(UNASKED, with_properties(said, list));
}

static void on_publish(struct mosquitto *c, void *u, int mid, int reason, properties *list) {
  bool is_refused = reason >= 128 && reason != 0x92; /* it has it */
  say(settle(PUBLISH, mid), with_properties(acknowledged("published", is_refused, reason), list));
}

static void on_subscribe(struct mosquitto *c, void *u, int mid, int count, const int *granted, properties *list) {
  cJSON *said = event("subscribed");
  cJSON_AddItemToObject(said, "reasons", cJSON_CreateIntArray(granted, count));
  say(settle(SUBSCRIBE, mid), with_properties(said, list));
}

static void on_unsubscribe(struct mosquitto *c, void *u, int mid, properties *list) {
  say(settle(UNSUBSCRIBE, mid), with_properties(event("unsubscribed"), list));
}

static cJSON *result(int problem, enum verb verb, int key, int id) {
  if (problem == MOSQ_ERR_SUCCESS) return expect(verb, key, id), NULL;
  bool is_cut = problem == MOSQ_ERR_NO_CONN || problem == MOSQ_ERR_CONN_LOST;
  return error(is_cut ? "cut-off" : "failed", mosquitto_strerror(problem));
}

static void cut(void) {
  if (client && mosquitto_socket(client) >= 0) shutdown(mosquitto_socket(client), SHUT_RDWR);
  while (client && mosquitto_socket(client) >= 0 && mosquitto_loop_read(client, 1) == MOSQ_ERR_SUCCESS) continue;
}

static void abandon(void) {
  cut(), mosquitto_destroy(client), client = NULL;
}

static void make_client(const char *id, bool is_clean) {
  if (client) mosquitto_destroy(client), cut_off(true);
  if ((client = mosquitto_new(*id ? id : NULL, is_clean, NULL)) == NULL) return;
  mosquitto_connect_v5_callback_set(client, on_connect), mosquitto_disconnect_v5_callback_set(client, on_disconnect);
  mosquitto_message_v5_callback_set(client, on_message), mosquitto_publish_v5_callback_set(client, on_publish);
  mosquitto_subscribe_v5_callback_set(client, on_subscribe), mosquitto_unsubscribe_v5_callback_set(client, on_unsubscribe);
}

static cJSON *do_connect(const cJSON *command, int id) {
  const char *trust = text_of(command, "ca_file"), *name = text_of(command, "client_id");
  const cJSON *will = cJSON_GetObjectItem(command, "will");
  char wanted[sizeof made_for];
  snprintf(wanted, sizeof wanted, "%.200s %d %.200s", name, flag_of(command, "clean_start"), trust ? trust : "");
  cut();
  if (!client || strcmp(wanted, made_for) != 0) make_client(name, flag_of(command, "clean_start"));
  if (!client) return error("failed", "libmosquitto makes no such client");
  strcpy(made_for, wanted);
  version = level_of(command);
  mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION, version);
  if (trust) mosquitto_tls_set(client, trust, NULL, NULL, NULL, NULL);
  int length = 0, problem = MOSQ_ERR_SUCCESS;
  char *password = decoded(text_of(command, "password"), &length), *payload = NULL;
  if (password && strlen(password) < (size_t)length) return error("unsupported", "a password ends at its first zero byte");
  payload = decoded(text_of(will, "payload"), &length);
  mosquitto_username_pw_set(client, text_of(command, "username"), password), mosquitto_will_clear(client);
  mosquitto_property *of_will = NULL; /* which the client owns then */
  mosquitto_property_copy_all(&of_will, properties_of(will));
  if (will) problem = mosquitto_will_set_v5(client, text_of(will, "topic"), length, payload, number_of(will, "qos"),
    flag_of(will, "retain"), of_will);
  if (!problem) problem = mosquitto_connect_bind_v5(client, text_of(command, "host"), number_of(command, "port"),
    number_of(command, "keep_alive"), NULL, properties_of(command));
  free(password), free(payload);
  return result(problem, CONNECT, 0, id);
}

static cJSON *do_subscribe(const cJSON *command, int id) {
  struct filters list = filters_of(command);
  int mid = 0, options = list.options[0], problem = MOSQ_ERR_NO_CONN;
  if (list.differ) return error("unsupported", "all filters of a SUBSCRIBE have the same QoS and options");
  if (client) problem = mosquitto_subscribe_multiple(client, &mid, list.count, list.filters, options & 3, options & ~3,
    properties_of(command));
  return result(problem, SUBSCRIBE, mid, id);
}

static cJSON *do_unsubscribe(const cJSON *command, int id) {
  struct filters list = filters_of(command);
  int mid = 0, problem = MOSQ_ERR_NO_CONN;
  if (client) problem = mosquitto_unsubscribe_multiple(client, &mid, list.count, list.filters, properties_of(command));
  return result(problem, UNSUBSCRIBE, mid, id);
}

static cJSON *do_publish(const cJSON *command, int id) {
  int length = 0, mid = 0, qos = number_of(command, "qos"), problem = MOSQ_ERR_NO_CONN;
  char *payload = decoded(text_of(command, "payload"), &length), *topic = (char *)text_of(command, "topic");
  if (client) problem = mosquitto_publish_v5(client, &mid, *topic ? topic : NULL, length, payload, qos,
    flag_of(command, "retain"), properties_of(command));
  free(payload);
  if (problem == MOSQ_ERR_NO_CONN && mid && qos) problem = MOSQ_ERR_SUCCESS; /* it is kept for later */
  return qos || problem ? result(problem, PUBLISH, mid, id) : event("published");
}

static cJSON *do_disconnect(const cJSON *command, int id) {
  int problem = MOSQ_ERR_NO_CONN;
  if (client) problem = mosquitto_disconnect_v5(client, number_of(command, "reason"), properties_of(command));
  if (problem) return result(problem, VERBS, 0, id);
  return cut(), with_text(event("disconnected"), "by", "client");
}

static cJSON *do_drop(const cJSON *command, int id) { return cut(), event("dropped"); }

static void turn(struct pollfd *standard_input) {
  int descriptor = client ? mosquitto_socket(client) : -1;
  short events = wait_for(standard_input, descriptor, descriptor >= 0 && mosquitto_want_write(client));
  if (events & POLLOUT) mosquitto_loop_write(client, 1);
  if (events & ~POLLOUT) mosquitto_loop_read(client, 1);
  if (client) mosquitto_loop_misc(client);
}

int main(void) {
  static const struct command commands[] = {{"connect", do_connect}, {"subscribe", do_subscribe},
    {"unsubscribe", do_unsubscribe}, {"publish", do_publish}, {"disconnect", do_disconnect}, {"drop", do_drop}, {0}};
  mosquitto_lib_init();
  serve(HELLO, commands, abandon, turn);
}

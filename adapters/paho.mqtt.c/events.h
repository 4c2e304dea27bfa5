/* What Paho's asynchronous client brings, in threads of its own that hold its lock: it is handed to ours through a pipe.
 * Belongs here: properties, callbacks, events. Does not belong here: the commands (`adapter.c`). */
#ifndef EVENTS_H
#define EVENTS_H

#include "../shared/properties.h"
#include <MQTTAsync.h>

static int version, generation;
static int brought[2]; /* the pipe */

struct news {
  int generation, id; /* the command that it answers, or UNASKED */
  enum verb verb;
  cJSON *said;
};

static void bring(int id, enum verb verb, cJSON *said) {
  struct news *one = malloc(sizeof *one);
  *one = (struct news){generation, id, verb, said};
  if (write(brought[1], &one, sizeof one) < 0) free(one);
}

/* ---- properties ------------------------------------------------------------------------------------------------ */

static void take_property(void *list, const struct property *one) {
  MQTTProperty made = {.identifier = one->identifier};
  MQTTLenString text = {one->length, (char *)one->bytes};
  if (one->type == BYTE) made.value.byte = (unsigned char)one->number;
  if (one->type == TWO_BYTES) made.value.integer2 = (unsigned short)one->number;
  if (one->type == FOUR_BYTES || one->type == VARIABLE_BYTES) made.value.integer4 = one->number;
  if (one->type >= BINARY) made.value.data = text;
  if (one->type == TEXT_PAIR) made.value.value = (MQTTLenString){one->second_length, (char *)one->second};
  MQTTProperties_add(list, &made);
}

/* Those of a command; the caller frees them. */
static MQTTProperties properties_of(const cJSON *command) {
  MQTTProperties made = MQTTProperties_initializer;
  if (version == 5) each_property(command, take_property, &made);
  return made;
}

static void add_properties(cJSON *to, const MQTTProperties *list) {
  for (int at = 0; at < list->count; at++) {
    const MQTTProperty *each = &list->array[at];
    int type = MQTTProperty_getType(each->identifier);
    struct property one = {.identifier = each->identifier};
    if (type == MQTTPROPERTY_TYPE_BYTE) one.number = each->value.byte;
    else if (type == MQTTPROPERTY_TYPE_TWO_BYTE_INTEGER) one.number = each->value.integer2;
    else if (type == MQTTPROPERTY_TYPE_FOUR_BYTE_INTEGER || type == MQTTPROPERTY_TYPE_VARIABLE_BYTE_INTEGER)
      one.number = each->value.integer4;
    else one.length = each->value.data.len, one.bytes = strndup(each->value.data.data, (size_t)one.length);
    if (type == MQTTPROPERTY_TYPE_BINARY_DATA) one.bytes = each->value.data.data;
    if (type == MQTTPROPERTY_TYPE_UTF_8_STRING_PAIR)
      one.second = strndup(each->value.value.data, (size_t)each->value.value.len);
    add_property(to, &one);
  }
}

/* ---- what it brings, in its threads ------------------------------------------------------------------------------ */

static const char *EVENTS[] = {"connected", "subscribed", "unsubscribed", "published"};

static cJSON *said_5(enum verb verb, int reason, const MQTTProperties *list) {
  cJSON *said = event(EVENTS[verb]);
  cJSON_AddNumberToObject(said, "reason", reason);
  add_properties(said, list);
  return said;
}

/* SUBACK and UNSUBACK have a list of codes, unless they have one. */
static cJSON *with_codes(cJSON *said, int count, const void *codes, int only) {
  cJSON_DeleteItemFromObject(said, "reason");
  cJSON_AddItemToObject(said, "reasons", count > 1 ? cJSON_CreateIntArray(codes, count) : cJSON_CreateIntArray(&only, 1));
  return said;
}

/* What is waited for is in the context: the verb, of how many filters (codes are a list of more than one), the command. */
#define CONTEXT(verb, count, id) ((void *)(((intptr_t)(id) << 16 | (count)) * VERBS + (intptr_t)(verb)))
#define VERB_OF(context) ((enum verb)((intptr_t)(context) % VERBS))
#define COUNT_OF(context) ((int)((intptr_t)(context) / VERBS & 0xFFFF))
#define ID_OF(context) ((int)((intptr_t)(context) / VERBS >> 16))

static void on_success_5(void *context, MQTTAsync_successData5 *data) {
  enum verb verb = VERB_OF(context);
  cJSON *said = said_5(verb, data->reasonCode, &data->properties);
  if (verb == CONNECT) cJSON_AddBoolToObject(said, "session_present", data->alt.connect.sessionPresent);
  if (verb == SUBSCRIBE || verb == UNSUBSCRIBE)
    with_codes(said, COUNT_OF(context), data->alt.sub.reasonCodes, data->reasonCode);
  bring(ID_OF(context), verb, said);
}

static void on_failure_5(void *context, MQTTAsync_failureData5 *data) {
  enum verb verb = VERB_OF(context);
  bool is_code = data->reasonCode >= 0x80;
  cJSON *said = error(is_code ? "refused" : strstr(data->message ? data->message : "", "TCP") ? "failed" : "cut-off", data->message);
  if (is_code && (verb == SUBSCRIBE || verb == UNSUBSCRIBE)) said = with_codes(event(EVENTS[verb]), 0, NULL, data->reasonCode);
  else if (is_code) cJSON_AddNumberToObject(said, "reason", data->reasonCode);
  add_properties(said, &data->properties);
  bring(ID_OF(context), verb, said);
}

static void on_success(void *context, MQTTAsync_successData *data) {
  enum verb verb = VERB_OF(context);
  cJSON *said = event(EVENTS[verb]);
  if (verb == CONNECT) cJSON_AddNumberToObject(said, "reason", 0);
  if (verb == CONNECT && version != 3) cJSON_AddBoolToObject(said, "session_present", data->alt.connect.sessionPresent);
  if (verb == SUBSCRIBE) with_codes(said, COUNT_OF(context), data->alt.qosList, data->alt.qos);
  bring(ID_OF(context), verb, said);
}

static void on_failure(void *context, MQTTAsync_failureData *data) {
  enum verb verb = VERB_OF(context);
  int code = data ? data->code : 0;
  const char *message = data && data->message ? data->message : "";
  cJSON *said = error(code > 0 ? "refused" : strstr(message, "TCP") ? "failed" : "cut-off", message);
  if (code > 0 && verb == SUBSCRIBE) said = with_codes(event(EVENTS[verb]), 0, NULL, code);
  else if (code > 0) cJSON_AddNumberToObject(said, "reason", code);
  bring(ID_OF(context), verb, said);
}

static void on_loss(void *context, char *cause) { bring(UNASKED, VERBS, with_text(event("disconnected"), "by", "network")); }

static void on_disconnected(void *context, MQTTProperties *list, enum MQTTReasonCodes reason) {
  cJSON *said = with_text(event("disconnected"), "by", "broker");
  cJSON_AddNumberToObject(said, "reason", reason);
  add_properties(said, list);
  bring(UNASKED, VERBS, said);
}

static int on_message(void *context, char *topic, int length, MQTTAsync_message *came) {
  char *name = length ? strndup(topic, (size_t)length) : topic;
  bool is_text = mbstowcs(NULL, name, 0) != (size_t)-1; /* it takes what is no UTF-8, which JSON does not */
  cJSON *said = message_event(0, is_text ? name : "?", came->payload, came->payloadlen, came->qos, came->retained, came->msgid);
  cJSON_AddBoolToObject(said, "dup", came->dup);
  if (version == 5) add_properties(said, &came->properties);
  bring(UNASKED, SUBSCRIBE, said);
  MQTTAsync_freeMessage(&came), MQTTAsync_free(topic);
  return 1;
}

#endif

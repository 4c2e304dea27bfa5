/* The properties of 5.0 by the contract's names, for clients in C: identifiers, types, JSON there and back.
 * Belongs here: what the specification says of them (5.0 2.2.2.2). Does not belong here: how a library keeps them. */
#ifndef PROPERTIES_H
#define PROPERTIES_H

#include "contract.h"

enum property_type { BYTE, TWO_BYTES, FOUR_BYTES, VARIABLE_BYTES, BINARY, TEXT, TEXT_PAIR };

/* One property; which fields have a value depends on the type. Texts end with NUL beyond `length`, too. */
struct property {
  int identifier;
  enum property_type type;
  uint32_t number;
  const char *bytes, *second;
  int length, second_length;
};

static const struct { const char *name; int identifier; enum property_type type; } PROPERTIES[] = {
  {"payload_format_indicator", 1, BYTE}, {"message_expiry_interval", 2, FOUR_BYTES}, {"content_type", 3, TEXT},
  {"response_topic", 8, TEXT}, {"correlation_data", 9, BINARY}, {"subscription_identifier", 11, VARIABLE_BYTES},
  {"session_expiry_interval", 17, FOUR_BYTES}, {"assigned_client_identifier", 18, TEXT},
  {"server_keep_alive", 19, TWO_BYTES}, {"authentication_method", 21, TEXT}, {"authentication_data", 22, BINARY},
  {"request_problem_information", 23, BYTE}, {"will_delay_interval", 24, FOUR_BYTES},
  {"request_response_information", 25, BYTE}, {"response_information", 26, TEXT}, {"server_reference", 28, TEXT},
  {"reason_string", 31, TEXT}, {"receive_maximum", 33, TWO_BYTES}, {"topic_alias_maximum", 34, TWO_BYTES},
  {"topic_alias", 35, TWO_BYTES}, {"maximum_qos", 36, BYTE}, {"retain_available", 37, BYTE},
  {"user_property", 38, TEXT_PAIR}, {"maximum_packet_size", 39, FOUR_BYTES},
  {"wildcard_subscription_available", 40, BYTE}, {"subscription_identifier_available", 41, BYTE},
  {"shared_subscription_available", 42, BYTE},
};
enum { PROPERTY_COUNT = sizeof PROPERTIES / sizeof *PROPERTIES };

/* Hand every property of a command to a library, one value at a time. */
static void each_property(const cJSON *command, void (*take)(void *list, const struct property *), void *list) {
  const cJSON *value, *each, *values = cJSON_GetObjectItem(command, "properties");
  for (int at = 0; at < PROPERTY_COUNT; at++) {
    struct property one = {.identifier = PROPERTIES[at].identifier, .type = PROPERTIES[at].type};
    if ((value = cJSON_GetObjectItem(values, PROPERTIES[at].name)) == NULL) continue;
    if (one.type == VARIABLE_BYTES) cJSON_ArrayForEach(each, value) one.number = (uint32_t)each->valuedouble, take(list, &one);
    else if (one.type == TEXT_PAIR) cJSON_ArrayForEach(each, value) {
      one.bytes = cJSON_GetArrayItem(each, 0)->valuestring, one.length = (int)strlen(one.bytes);
      one.second = cJSON_GetArrayItem(each, 1)->valuestring, one.second_length = (int)strlen(one.second);
      take(list, &one);
    } else {
      char *bytes = one.type == BINARY ? decoded(value->valuestring, &one.length) : NULL;
      one.bytes = bytes ? bytes : value->valuestring;
      if (one.type == TEXT) one.length = (int)strlen(one.bytes);
      one.number = (uint32_t)value->valuedouble;
      take(list, &one);
      free(bytes);
    }
  }
}

/* Add one property of a library's to the field `properties` of an event. */
static void add_property(cJSON *to, const struct property *one) {
  cJSON *made = cJSON_GetObjectItem(to, "properties"), *list;
  if (made == NULL) made = cJSON_AddObjectToObject(to, "properties");
  int at = 0;
  while (at < PROPERTY_COUNT && PROPERTIES[at].identifier != one->identifier) at++;
  if (at == PROPERTY_COUNT) return;
  const char *name = PROPERTIES[at].name;
  switch (PROPERTIES[at].type) {
    case TEXT_PAIR: case VARIABLE_BYTES:
      if ((list = cJSON_GetObjectItem(made, name)) == NULL) list = cJSON_AddArrayToObject(made, name);
      const char *pair[] = {one->bytes, one->second};
      cJSON_AddItemToArray(list, one->bytes ? cJSON_CreateStringArray(pair, 2) : cJSON_CreateNumber(one->number));
      break;
    case BINARY: add_binary(made, name, one->bytes, one->length); break;
    case TEXT: cJSON_AddStringToObject(made, name, one->bytes); break;
    default: if (!cJSON_HasObjectItem(made, name)) cJSON_AddNumberToObject(made, name, one->number);
  }
}

#endif

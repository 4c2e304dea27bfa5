/* What stands in a command, for clients in C: texts, numbers, filters, and binary values in base64 there and back. */
#ifndef VALUES_H
#define VALUES_H
#define _GNU_SOURCE

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const cJSON *from, const char *name) {
  return cJSON_GetStringValue(cJSON_GetObjectItem(from, name));
}

static int number_of(const cJSON *from, const char *name) {
  const cJSON *found = cJSON_GetObjectItem(from, name);
  return found ? (int)found->valuedouble : 0;
}

static bool flag_of(const cJSON *from, const char *name) { return cJSON_IsTrue(cJSON_GetObjectItem(from, name)); }

/* The protocol level: 3, 4 or 5. */
static int level_of(const cJSON *command) {
  const char *mqtt = text_of(command, "mqtt");
  return *mqtt == '5' ? 5 : strcmp(mqtt, "3.1") == 0 ? 3 : 4;
}

/* The topic filters of SUBSCRIBE or UNSUBSCRIBE, and their Subscription Options as in 5.0 3.8.3.1. */
struct filters {
  char *filters[1024];
  int options[1024], count;
  bool differ; /* not all have the same options, which some libraries cannot ask for */
};

static struct filters filters_of(const cJSON *command) {
  struct filters made = {.count = 0};
  const cJSON *each;
  cJSON_ArrayForEach(each, cJSON_GetObjectItem(command, "topic_filters")) made.filters[made.count++] = each->valuestring;
  cJSON_ArrayForEach(each, cJSON_GetObjectItem(command, "subscriptions")) {
    made.options[made.count] = number_of(each, "qos") | flag_of(each, "no_local") << 2 |
      flag_of(each, "retain_as_published") << 3 | number_of(each, "retain_handling") << 4;
    made.differ |= made.options[made.count] != made.options[0];
    made.filters[made.count++] = (char *)text_of(each, "topic_filter");
  }
  return made;
}

static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Bytes of a base64 text, with a NUL after them; freed by the caller. NULL where there is no text. */
static char *decoded(const char *text, int *length_bytes) {
  if (text == NULL) return NULL;
  char *bytes = malloc(strlen(text) / 4 * 3 + 1);
  uint32_t bits = 0;
  int count = 0, length = 0;
  for (; *text && *text != '='; text++) {
    bits = bits << 6 | (uint32_t)(strchr(BASE64, *text) - BASE64);
    if (++count % 4 != 1) bytes[length++] = (char)(bits >> (6 - 2 * ((count + 3) % 4)));
  }
  bytes[length] = 0;
  if (length_bytes) *length_bytes = length;
  return bytes;
}

/* Add bytes in base64 as a field. */
static void add_binary(cJSON *to, const char *name, const void *bytes, int length) {
  const uint8_t *from = bytes;
  char *text = malloc((size_t)(length + 2) / 3 * 4 + 1), *end = text;
  for (int at = 0; at < length; at += 3) {
    int left = length - at;
    uint32_t bits = (uint32_t)from[at] << 16 | (left > 1 ? (uint32_t)from[at + 1] << 8 : 0) | (left > 2 ? from[at + 2] : 0);
    *end++ = BASE64[bits >> 18];
    *end++ = BASE64[bits >> 12 & 63];
    *end++ = left > 1 ? BASE64[bits >> 6 & 63] : '=';
    *end++ = left > 2 ? BASE64[bits & 63] : '=';
  }
  *end = 0;
  cJSON_AddStringToObject(to, name, text);
  free(text);
}

#endif

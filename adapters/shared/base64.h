/* Binary values of the contract: base64 there and back, for clients in C. */
#ifndef BASE64_H
#define BASE64_H
#define _GNU_SOURCE

#include <cjson/cJSON.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

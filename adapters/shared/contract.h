/* The adapter contract for clients in C: lines, events, and which command waits for what. For one adapter.
 * Belongs here: what every adapter in C needs. Does not belong here: a client library. */
#ifndef CONTRACT_H
#define CONTRACT_H

#include "values.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define STRING_(word) #word
#define STRING(macro) STRING_(macro)

/* ---- events -------------------------------------------------------------------------------------------------- */

/* Callbacks may come in a thread of the library's, and in a call of ours. */
static pthread_mutex_t contract_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

static cJSON *with_text(cJSON *made, const char *name, const char *text) {
  cJSON_AddStringToObject(made, name, text);
  return made;
}

static cJSON *event(const char *kind) { return with_text(cJSON_CreateObject(), "event", kind); }

static cJSON *error(const char *kind, const char *detail) {
  return with_text(with_text(event("error"), "error", kind), "detail", detail ? detail : "");
}

enum { UNASKED = -2 };

/* Write an event: the answer to the command `id`, or one that comes by itself; -1, who asked waits no longer, is no one. */
static void say(int id, cJSON *said) {
  if (id >= 0) cJSON_AddNumberToObject(said, "id", id);
  if (id == -1) {
    cJSON_Delete(said);
    return;
  }
  char *line = cJSON_PrintUnformatted(said);
  printf("%s\n", line);
  fflush(stdout);
  free(line);
  cJSON_Delete(said);
}

/* What an acknowledgement says: the error `refused` where it does; a `reason` of -1 is none. */
static inline cJSON *acknowledged(const char *kind, bool is_refused, int reason) {
  cJSON *said = is_refused ? error("refused", NULL) : event(kind);
  if (reason >= 0) cJSON_AddNumberToObject(said, "reason", reason);
  return said;
}

/* A message that reached the application; a `number`, or a `packet_id`, of 0 is none. */
static cJSON *message_event(int number, const char *topic, const void *payload, int length, int qos, bool retain,
  int packet_id) {
  cJSON *made = event("message");
  if (number) cJSON_AddNumberToObject(made, "message", number);
  cJSON_AddStringToObject(made, "topic", topic);
  add_binary(made, "payload", payload, length);
  cJSON_AddNumberToObject(made, "qos", qos);
  cJSON_AddBoolToObject(made, "retain", retain);
  if (packet_id) cJSON_AddNumberToObject(made, "packet_id", packet_id);
  return made;
}

/* ---- commands that wait for the broker ------------------------------------------------------------------------- */

enum verb { CONNECT, SUBSCRIBE, UNSUBSCRIBE, PUBLISH, VERBS };

struct waiting {
  enum verb verb;
  int key, id;
  struct waiting *next;
};
static struct waiting *waiting_commands;

/* Remember that a command waits for what the library calls `key`. */
static void expect(enum verb verb, int key, int id) {
  struct waiting *one = malloc(sizeof *one);
  *one = (struct waiting){verb, key, id, waiting_commands};
  waiting_commands = one;
}

/* The id of the command that waits for `key`, which waits no longer; -1 where none does. */
static int settle(enum verb verb, int key) {
  for (struct waiting **at = &waiting_commands; *at; at = &(*at)->next)
    if ((*at)->verb == verb && (*at)->key == key) {
      struct waiting *one = *at;
      int id = one->id;
      *at = one->next;
      free(one);
      return id;
    }
  return -1;
}

/* The connection ended: answer what cannot outlive it; PUBLISH, too, where the session is gone. */
static void cut_off(bool with_session) {
  for (struct waiting **at = &waiting_commands; *at;) {
    struct waiting *one = *at;
    if (one->verb == PUBLISH && !with_session) {
      at = &one->next;
      continue;
    }
    say(one->id, error("cut-off", NULL));
    *at = one->next;
    free(one);
  }
}

/* ---- the loop -------------------------------------------------------------------------------------------------- */

struct command {
  const char *verb;
  cJSON *(*carry_out)(const cJSON *command, int id); /* the answer, or NULL where it comes later */
};

/* Answer one line. `commands` ends with a verb of NULL; `abandon` lets the client instance go. False at the end. */
static bool answer_line(const char *line, const char *hello, const struct command *commands, void (*abandon)(void)) {
  cJSON *asked = cJSON_Parse(line), *answer = NULL;
  const char *verb = text_of(asked, "do");
  int id = number_of(asked, "id");
  bool goes_on = strcmp(verb, "exit") != 0;
  if (strcmp(verb, "hello") == 0) {
    char *text = strdup(hello); /* written with ' for " */
    for (char *at = text; (at = strchr(at, '\'')); *at = '"') continue;
    answer = cJSON_Parse(text);
    free(text);
  }
  else if (strcmp(verb, "reset") == 0 || !goes_on) {
    while (waiting_commands) settle(waiting_commands->verb, waiting_commands->key);
    abandon();
    answer = event(goes_on ? "ready" : "bye");
  } else {
    while (commands->verb && strcmp(commands->verb, verb) != 0) commands++;
    answer = commands->verb ? commands->carry_out(asked, id) : error("unsupported", verb);
  }
  if (answer) say(id, answer);
  cJSON_Delete(asked);
  return goes_on;
}

/* For a `turn` of a library without threads: wait until it has something to do at its socket, -1 where there is none, or
 * there is something to read from standard input. The events of the socket; 0 every tenth of a second. */
static inline short wait_for(struct pollfd *standard_input, int descriptor, bool wants_write) {
  struct pollfd both[] = {*standard_input, {descriptor, wants_write ? POLLIN | POLLOUT : POLLIN, 0}};
  poll(both, 2, 100);
  *standard_input = both[0];
  return both[1].revents;
}

/* Serve standard input; `turn` lets the library work until there is something to read from it, and sets its `revents`
 * then: with threads of the library's that is poll(standard_input, 1, -1), without them see `wait_for`. */
static void serve(const char *hello, const struct command *commands, void (*abandon)(void), void (*turn)(struct pollfd *)) {
  size_t room = 4096, filled = 0;
  char *input = malloc(room);
  signal(SIGPIPE, SIG_IGN); /* a connection that is gone is the library's to tell of */
  for (bool goes_on = true; goes_on;) {
    struct pollfd standard_input = {.fd = 0, .events = POLLIN};
    turn(&standard_input);
    if (!standard_input.revents) continue;
    if (room - filled < 4096) input = realloc(input, room *= 2);
    ssize_t read_bytes = read(0, input + filled, room - filled - 1);
    if (read_bytes <= 0) break;
    filled += (size_t)read_bytes;
    char *end, *line = input;
    while (goes_on && (end = memchr(line, '\n', filled - (size_t)(line - input)))) {
      *end = 0;
      pthread_mutex_lock(&contract_lock);
      goes_on = answer_line(line, hello, commands, abandon);
      pthread_mutex_unlock(&contract_lock);
      line = end + 1;
    }
    filled -= (size_t)(line - input);
    memmove(input, line, filled);
  }
  free(input);
}

#endif

// Package contract is the adapter contract for clients in Go: commands in, events out, one JSON object per line.
//
// Belongs here: what every adapter in Go needs. Does not belong here: a client library.
package contract

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
)

// Message is a will, or what `publish` sends.
type Message struct {
	Topic      string     `json:"topic"`
	Payload    []byte     `json:"payload"`
	QoS        byte       `json:"qos"`
	Retain     bool       `json:"retain"`
	Properties Properties `json:"properties"`
}

// Subscription is one topic filter with its options.
type Subscription struct {
	TopicFilter       string `json:"topic_filter"`
	QoS               byte   `json:"qos"`
	NoLocal           bool   `json:"no_local"`
	RetainAsPublished bool   `json:"retain_as_published"`
	RetainHandling    byte   `json:"retain_handling"`
}

// Command has the fields of all commands.
type Command struct {
	Message
	ID            int            `json:"id"`
	Do            string         `json:"do"`
	MQTT          string         `json:"mqtt"`
	Transport     string         `json:"transport"`
	Host          string         `json:"host"`
	Port          int            `json:"port"`
	Path          string         `json:"path"`
	CAFile        string         `json:"ca_file"`
	ClientID      string         `json:"client_id"`
	CleanStart    bool           `json:"clean_start"`
	KeepAlive     uint16         `json:"keep_alive"`
	Username      *string        `json:"username"`
	Password      []byte         `json:"password"`
	Will          *Message       `json:"will"`
	ManualAck     bool           `json:"manual_ack"`
	Subscriptions []Subscription `json:"subscriptions"`
	TopicFilters  []string       `json:"topic_filters"`
	Number        int            `json:"message"`
	Reason        byte           `json:"reason"`
}

// Event is what is written; its name is in "event".
type Event map[string]any

// Unsuccessful ends a command with an error of the contract.
type Unsuccessful struct {
	Kind, Detail string
	Reason       *byte
	Properties   *Properties
}

func (u *Unsuccessful) Error() string { return u.Kind + ": " + u.Detail }

// ErrCutOff says that the connection ended before the answer, or that there is none.
var ErrCutOff = &Unsuccessful{Kind: "cut-off"}

// Answer waits for what a command brings.
type Answer func() (Event, error)

// Client is one client instance. Begin carries out what has to happen in order, and gives the rest, which may wait.
type Client interface {
	Begin(command *Command) Answer
	Abandon()
}

// Done is an answer that says nothing but that.
func Done(event string) Answer {
	return func() (Event, error) { return Event{"event": event}, nil }
}

// NoConnection is the answer where there has to be one.
func NoConnection() (Event, error) { return nil, ErrCutOff }

// Chosen begins the command with one of the verbs there are.
func Chosen(verbs map[string]func(*Command) Answer, command *Command) Answer {
	if verb, ok := verbs[command.Do]; ok {
		return verb(command)
	}
	if slices.Contains([]string{"subscribe", "unsubscribe", "publish", "ack", "disconnect"}, command.Do) {
		return NoConnection
	}
	return func() (Event, error) { return nil, &Unsuccessful{Kind: "unsupported"} }
}

func written(event Event, err error) Event {
	if err == nil {
		return event
	}
	said := Event{"event": "error", "error": "failed", "detail": err.Error()}
	if u, ok := err.(*Unsuccessful); ok {
		said["error"], said["detail"] = u.Kind, u.Detail
		if u.Reason != nil {
			said["reason"], said["properties"] = *u.Reason, u.Properties
		}
	}
	return said
}

// Serve answers commands on standard input until it ends. What an abandoned client still says is nobody's business.
func Serve(hello Event, newClient func(emit func(Event)) Client) {
	var lock sync.Mutex // of what follows
	generation, output := 0, os.Stdout
	os.Stdout = os.Stderr // what a library prints is for the log
	say := func(of int, event Event) {
		lock.Lock()
		defer lock.Unlock()
		if of == generation {
			line, _ := json.Marshal(event)
			fmt.Fprintf(output, "%s\n", line)
		}
	}
	renewed := func() Client {
		lock.Lock()
		generation++
		mine := generation
		lock.Unlock()
		return newClient(func(event Event) { say(mine, event) })
	}
	client, input := renewed(), bufio.NewReader(os.Stdin)
	for {
		line, err := input.ReadBytes('\n')
		if err == io.EOF {
			return
		}
		command, mine := &Command{}, generation
		if err := json.Unmarshal(line, command); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		answered := func(event Event) { event["id"] = command.ID; say(mine, event) }
		switch command.Do {
		case "hello":
			hello["event"], hello["contract"] = "hello", 1
			answered(hello)
		case "reset", "exit":
			old := client
			client = renewed()
			old.Abandon()
			mine = generation
			answered(Event{"event": map[string]string{"reset": "ready", "exit": "bye"}[command.Do]})
			if command.Do == "exit" {
				return
			}
		default:
			wait := client.Begin(command)
			go func() { answered(written(wait())) }()
		}
	}
}

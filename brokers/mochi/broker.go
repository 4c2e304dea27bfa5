// mochi as a broker by name: what it is to be stands in a file.
// Belongs here: those wishes in its options. Does not belong here: mending it.
package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/hooks/storage/bolt"
	"github.com/mochi-mqtt/server/v2/listeners"
)

// wish is what brokers/catalog.py writes.
type wish struct {
	Host       string                     `json:"host"`
	Port       int                        `json:"port"`
	Transport  string                     `json:"transport"`
	Folder     string                     `json:"folder"`
	Persistent bool                       `json:"persistent"`
	Settings   map[string]json.RawMessage `json:"settings"`
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	var asked wish
	text, err := os.ReadFile(os.Args[1])
	must(err)
	must(json.Unmarshal(text, &asked))
	can := mqtt.NewDefaultServerCapabilities()
	can.MaximumMessageExpiryInterval = 0 // or every message expires after a day
	set := map[string]any{
		"maximum_qos":            &can.MaximumQos,
		"receive_maximum":        &can.ReceiveMaximum,
		"session_expiry_maximum": &can.MaximumSessionExpiryInterval,
	}
	for name, given := range asked.Settings {
		must(json.Unmarshal(given, set[name]))
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	server := mqtt.New(&mqtt.Options{Capabilities: can, Logger: log})
	must(server.AddHook(new(auth.AllowHook), nil))
	if asked.Persistent {
		must(server.AddHook(new(bolt.Hook), &bolt.Options{Path: asked.Folder + "/store"}))
	}
	at := listeners.Config{ID: "interop", Address: fmt.Sprintf("%s:%d", asked.Host, asked.Port)}
	if asked.Transport == "ws" {
		must(server.AddListener(listeners.NewWebsocket(at)))
	} else {
		must(server.AddListener(listeners.NewTCP(at)))
	}
	must(server.Serve())
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	<-end
	must(server.Close())
}

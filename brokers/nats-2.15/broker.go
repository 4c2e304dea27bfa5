// nats-server as a broker by name: what it is to be stands in a file.
// Belongs here: those wishes in its options. Does not belong here: mending it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// wish is what brokers/catalog.py writes.
type wish struct {
	Host   string `json:"host"`
	Port   int    `json:"port"`
	Folder string `json:"folder"`
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
	broker, err := server.NewServer(&server.Options{
		ServerName: "interop",                // MQTT needs one
		Host:       asked.Host,               // of its own protocol, which nobody speaks here
		Port:       server.RANDOM_PORT,       // on a port it finds itself
		MaxPayload: 8 << 20,                  // or it takes 1 MB at most
		JetStream:  true,                     // where sessions and retained messages are
		StoreDir:   asked.Folder + "/stream", // fresh, or as it was before a restart
		MQTT:       server.MQTTOpts{Host: asked.Host, Port: asked.Port, AckWait: time.Second},
	})
	must(err)
	broker.ConfigureLogger()
	must(server.Run(broker))
	broker.WaitForShutdown()
}

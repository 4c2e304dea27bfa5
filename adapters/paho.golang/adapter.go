// paho.golang, for MQTT 5.0, behind the contract.
// Belongs here: the contract's commands in its calls, what it tells as events. Does not belong here: mending it.
package main

import (
	"context"
	"contract"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session"
	"github.com/eclipse/paho.golang/paho/session/state"
)

const never = time.Hour // what waits for the broker waits as long as the scenario does

var hello = contract.Event{
	"client": "paho.golang", "version": "0.23.0", "mqtt": []string{"5.0"}, "transports": []string{"tcp", "tls"},
	"unsupported": []string{"publish-offline", "refuse-message", "topic-alias-inbound"},
}

type adapter struct {
	emit     func(contract.Event)
	id       string
	session  session.SessionManager
	link     *contract.Link
	sent     chan struct{} // something was written
	lock     sync.Mutex    // of what follows
	client   *paho.Client  // while it is connected
	keeps    bool          // whether the session outlives the connection
	of       lifetimes
	authData []byte
	messages []received
}

type received struct {
	by     *paho.Client
	packet *paho.Publish
}

func (a *adapter) connected() *paho.Client {
	a.lock.Lock()
	defer a.lock.Unlock()
	return a.client
}

func (a *adapter) Begin(command *contract.Command) contract.Answer {
	verbs := map[string]func(*contract.Command) contract.Answer{"connect": a.connect, "drop": a.drop}
	if a.connected() != nil {
		verbs["subscribe"], verbs["unsubscribe"], verbs["publish"] = a.subscribe, a.unsubscribe, a.publish
		verbs["ack"], verbs["auth"], verbs["disconnect"] = a.ack, a.auth, a.disconnect
	}
	return contract.Chosen(verbs, command)
}

func dialled(command *contract.Command) (net.Conn, error) {
	address := net.JoinHostPort(command.Host, fmt.Sprint(command.Port))
	if command.Transport != "tls" {
		return net.Dial("tcp", address)
	}
	conn, err := tls.Dial("tcp", address, contract.Trust(command.CAFile, command.Host))
	if err != nil {
		return nil, err
	}
	return packets.NewThreadSafeConn(conn), nil
}

func (a *adapter) connect(command *contract.Command) contract.Answer {
	a.cut()
	if a.session == nil || a.id != command.ClientID {
		if a.session != nil {
			a.of.end(true)
			a.session.Close()
		}
		a.session, a.id = state.NewInMemory(), command.ClientID
	}
	link := &contract.Link{}
	link.Begin()
	a.link, a.authData = link, command.Properties.AuthenticationData
	conn, err := link.Opened(dialled(command))
	if err != nil {
		return func() (contract.Event, error) { return nil, err }
	}
	client := paho.NewClient(paho.ClientConfig{
		Conn: conn, Session: a.session, AuthHandler: a, PingHandler: pinger{paho.NewDefaultPinger(), a.sent},
		PacketTimeout: never, EnableManualAcknowledgment: command.ManualAck,
		OnPublishReceived:  []func(paho.PublishReceived) (bool, error){a.received},
		OnClientError:      func(error) { a.ended(link, contract.Event{"by": "network"}) },
		OnServerDisconnect: func(said *paho.Disconnect) { a.ended(link, fromDisconnect(said)) },
	})
	packet := &paho.Connect{ClientID: command.ClientID, CleanStart: command.CleanStart, KeepAlive: command.KeepAlive,
		Properties: ofConnect(&command.Properties)}
	if command.Username != nil {
		packet.Username, packet.UsernameFlag = *command.Username, true
	}
	packet.Password, packet.PasswordFlag = command.Password, command.Password != nil
	if will := command.Will; will != nil {
		packet.WillMessage = &paho.WillMessage{Topic: will.Topic, Payload: will.Payload, QoS: will.QoS, Retain: will.Retain}
		packet.InitWillProperties(given(&will.Properties))
	}
	return func() (contract.Event, error) {
		connack, err := client.Connect(context.Background(), packet)
		if err != nil && connack != nil && connack.ReasonCode >= 0x80 {
			return nil, &contract.Unsuccessful{Kind: "refused", Reason: &connack.ReasonCode, Properties: fromConnack(connack.Properties)}
		}
		if err != nil {
			return nil, &contract.Unsuccessful{Kind: "cut-off", Detail: err.Error()}
		}
		a.lock.Lock()
		defer a.lock.Unlock()
		select {
		case <-link.Lost():
		default:
			a.client, a.keeps = client, outlives(command.Properties.SessionExpiryInterval, connack.Properties.SessionExpiryInterval)
			a.of.begin(!connack.SessionPresent)
		}
		return contract.Event{"event": "connected", "session_present": connack.SessionPresent, "reason": connack.ReasonCode,
			"properties": fromConnack(connack.Properties)}, nil
	}
}

func (a *adapter) disconnect(command *contract.Command) contract.Answer {
	client, packet := a.connected(), &paho.Disconnect{ReasonCode: command.Reason}
	packet.InitProperties(given(&command.Properties))
	a.link.Want()
	client.Disconnect(packet)
	a.ended(a.link, nil)
	return func() (contract.Event, error) { return contract.Event{"event": "disconnected", "by": "client"}, nil }
}

func (a *adapter) drop(*contract.Command) contract.Answer {
	a.cut()
	return contract.Done("dropped")
}

func (a *adapter) cut() {
	if a.link != nil {
		a.link.Cut(a.connected() != nil)
	}
}

func (a *adapter) Abandon() {
	a.cut()
	if a.session != nil {
		a.session.Close()
	}
}

// ended takes the library's word, once for each connection.
func (a *adapter) ended(link *contract.Link, event contract.Event) {
	a.lock.Lock()
	if link == a.link && a.client != nil {
		a.client = nil
		a.of.end(!a.keeps)
	}
	a.lock.Unlock()
	if link.Ended() {
		event["event"] = "disconnected"
		a.emit(event)
	}
}

func (a *adapter) received(this paho.PublishReceived) (bool, error) {
	a.lock.Lock()
	defer a.lock.Unlock()
	packet := this.Packet
	a.messages = append(a.messages, received{this.Client, packet})
	event := contract.Event{"event": "message", "message": len(a.messages), "topic": packet.Topic, "payload": packet.Payload,
		"retain": packet.Retain, "dup": packet.Duplicate(), "properties": fromPublish(packet.Properties)}
	if packet.QoS <= 2 { // it takes 3 as well, which no event has room for
		event["qos"] = packet.QoS
	}
	if packet.QoS > 0 {
		event["packet_id"] = packet.PacketID
	}
	a.emit(event)
	return true, nil
}

func main() {
	contract.Serve(hello, func(emit func(contract.Event)) contract.Client {
		made := &adapter{emit: emit, sent: make(chan struct{}, 1)}
		made.of.endConnection, made.of.endSession = func() {}, func() {}
		return made
	})
}

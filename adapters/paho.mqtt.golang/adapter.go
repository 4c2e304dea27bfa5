// paho.mqtt.golang behind the contract.
// Belongs here: the contract's commands in its calls, what it tells as events. Does not belong here: mending it.
package main

import (
	"contract"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

var (
	hello = contract.Event{
		"client": "paho.mqtt.golang", "version": "1.5.1", "mqtt": []string{"3.1", "3.1.1"},
		"transports": []string{"tcp", "tls", "ws", "wss"}, "unsupported": []string{"publish-offline"},
	}
	schemes = map[string]string{"tcp": "tcp", "tls": "ssl", "ws": "ws", "wss": "wss"}
)

type adapter struct {
	emit     func(contract.Event)
	client   mqtt.Client
	made     contract.Command // what the client was made for
	store    mqtt.Store
	link     contract.Link
	lock     sync.Mutex // of what follows
	messages []mqtt.Message
}

func (a *adapter) Begin(command *contract.Command) contract.Answer {
	verbs := map[string]func(*contract.Command) contract.Answer{"connect": a.connect, "drop": a.drop}
	if a.client != nil {
		verbs["subscribe"], verbs["unsubscribe"], verbs["publish"] = a.subscribe, a.unsubscribe, a.publish
		verbs["ack"], verbs["disconnect"] = a.ack, a.disconnect
	}
	return contract.Chosen(verbs, command)
}

// dialled opens the network connection itself, so that it can be dropped.
func (a *adapter) dialled(command *contract.Command) mqtt.OpenConnectionFunc {
	return func(uri *url.URL, options mqtt.ClientOptions) (conn net.Conn, err error) {
		switch command.Transport {
		case "ws", "wss":
			conn, err = mqtt.NewWebsocket(uri.String(), options.TLSConfig, options.ConnectTimeout, nil, nil)
		case "tls":
			conn, err = tls.Dial("tcp", uri.Host, options.TLSConfig)
		default:
			conn, err = net.Dial("tcp", uri.Host)
		}
		return a.link.Opened(conn, err)
	}
}

func (a *adapter) newClient(command *contract.Command) mqtt.Client {
	options := mqtt.NewClientOptions().SetClientID(command.ClientID).SetCleanSession(command.CleanStart).SetStore(a.store)
	options.AddBroker(fmt.Sprintf("%s://%s:%d%s", schemes[command.Transport], command.Host, command.Port, command.Path))
	options.SetProtocolVersion(map[string]uint{"3.1": 3, "3.1.1": 4}[command.MQTT]).SetAutoReconnect(false)
	options.SetKeepAlive(time.Duration(command.KeepAlive) * time.Second).SetAutoAckDisabled(command.ManualAck)
	options.SetCustomOpenConnectionFn(a.dialled(command)).SetDefaultPublishHandler(a.received)
	options.SetConnectionLostHandler(func(mqtt.Client, error) { a.ended() })
	if command.Username != nil {
		options.SetUsername(*command.Username).SetPassword(string(command.Password))
	}
	if will := command.Will; will != nil {
		options.SetBinaryWill(will.Topic, will.Payload, will.QoS, will.Retain)
	}
	if command.CAFile != "" {
		options.SetTLSConfig(contract.Trust(command.CAFile, command.Host))
	}
	return mqtt.NewClient(options)
}

func (a *adapter) connect(command *contract.Command) contract.Answer {
	a.cut()
	wanted := *command
	wanted.ID = 0
	if a.client == nil || !reflect.DeepEqual(wanted, a.made) {
		if a.store == nil || a.made.ClientID != command.ClientID {
			a.store = mqtt.NewMemoryStore()
		}
		a.client, a.made = a.newClient(command), wanted
	}
	a.link.Begin()
	token := a.client.Connect().(*mqtt.ConnectToken)
	return func() (contract.Event, error) {
		<-token.Done()
		if code := token.ReturnCode(); token.Error() != nil && code >= 1 && code <= 5 {
			return nil, &contract.Unsuccessful{Kind: "refused", Detail: token.Error().Error(), Reason: &code}
		}
		if token.Error() != nil && a.link.WasOpen() {
			return nil, &contract.Unsuccessful{Kind: "cut-off", Detail: token.Error().Error()}
		}
		event := contract.Event{"event": "connected", "reason": token.ReturnCode()}
		if command.MQTT != "3.1" {
			event["session_present"] = token.SessionPresent()
		}
		return event, token.Error()
	}
}

// waits for a token, or for the end of the connection where nothing outlives it.
func (a *adapter) waits(token mqtt.Token, lost <-chan struct{}, event func() contract.Event) contract.Answer {
	return func() (contract.Event, error) {
		select {
		case <-token.Done():
		case <-lost:
			return nil, contract.ErrCutOff
		}
		err := token.Error()
		if err != nil && (errors.Is(err, mqtt.ErrNotConnected) || !a.client.IsConnected()) {
			return nil, contract.ErrCutOff
		}
		return event(), err
	}
}

func (a *adapter) subscribe(command *contract.Command) contract.Answer {
	wanted := map[string]byte{}
	for _, each := range command.Subscriptions {
		wanted[each.TopicFilter] = each.QoS
	}
	token := a.client.SubscribeMultiple(wanted, nil)
	return a.waits(token, a.link.Lost(), func() contract.Event {
		reasons := []int{}
		for _, each := range command.Subscriptions {
			reasons = append(reasons, int(token.(*mqtt.SubscribeToken).Result()[each.TopicFilter]))
		}
		return contract.Event{"event": "subscribed", "reasons": reasons}
	})
}

func (a *adapter) unsubscribe(command *contract.Command) contract.Answer {
	token := a.client.Unsubscribe(command.TopicFilters...)
	return a.waits(token, a.link.Lost(), func() contract.Event { return contract.Event{"event": "unsubscribed"} })
}

func (a *adapter) publish(command *contract.Command) contract.Answer {
	token := a.client.Publish(command.Topic, command.QoS, command.Retain, command.Payload)
	return a.waits(token, nil, func() contract.Event { return contract.Event{"event": "published"} })
}

func (a *adapter) ack(command *contract.Command) contract.Answer {
	a.lock.Lock()
	defer a.lock.Unlock()
	a.messages[command.Number-1].Ack()
	return contract.Done("acked")
}

func (a *adapter) disconnect(*contract.Command) contract.Answer {
	if !a.client.IsConnected() {
		return contract.NoConnection
	}
	a.link.Want()
	a.client.Disconnect(250)
	return contract.Done("disconnected")
}

func (a *adapter) drop(*contract.Command) contract.Answer {
	a.cut()
	return contract.Done("dropped")
}

func (a *adapter) cut() { a.link.Cut(a.client != nil && a.client.IsConnected()) }

func (a *adapter) Abandon() {
	a.cut()
	if a.client != nil {
		a.client.Disconnect(0)
	}
}

func (a *adapter) ended() {
	if a.link.Ended() {
		a.emit(contract.Event{"event": "disconnected", "by": "network"})
	}
}

func (a *adapter) received(_ mqtt.Client, message mqtt.Message) {
	a.lock.Lock()
	defer a.lock.Unlock()
	a.messages = append(a.messages, message)
	event := contract.Event{"event": "message", "message": len(a.messages), "topic": message.Topic(),
		"payload": message.Payload(), "qos": message.Qos(), "retain": message.Retained(), "dup": message.Duplicate()}
	if message.Qos() > 0 {
		event["packet_id"] = message.MessageID()
	}
	a.emit(event)
}

func main() {
	contract.Serve(hello, func(emit func(contract.Event)) contract.Client { return &adapter{emit: emit} })
}

package main

import (
	"contract"
	"errors"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
)

// The commands whose answer the broker brings.

const aMoment = 50 * time.Millisecond // a publish that is not written by then waits for the broker's quota

// inOrder lets a call that blocks begin before the next command does.
func (a *adapter) inOrder(call func(*paho.Client, lifetimes) (contract.Event, error)) contract.Answer {
	var event contract.Event
	var err error
	client, of, done := a.connected(), a.of, make(chan struct{})
	if client == nil {
		return contract.NoConnection
	}
	select {
	case <-a.sent:
	default:
	}
	go func() {
		event, err = call(client, of)
		close(done)
	}()
	select {
	case <-a.sent:
	case <-done:
	case <-time.After(aMoment):
	}
	return func() (contract.Event, error) {
		<-done
		if refused := (*contract.Unsuccessful)(nil); err != nil && !errors.As(err, &refused) && a.connected() != client {
			err = contract.ErrCutOff
		}
		return event, err
	}
}

func (a *adapter) subscribe(command *contract.Command) contract.Answer {
	packet := &paho.Subscribe{Subscriptions: subscriptions(command.Subscriptions)}
	packet.InitProperties(given(&command.Properties))
	return a.inOrder(func(client *paho.Client, of lifetimes) (contract.Event, error) {
		suback, err := client.Subscribe(of.connection, packet)
		if suback == nil {
			return nil, err
		}
		properties := explained(suback.Properties.ReasonString, suback.Properties.User)
		return contract.Event{"event": "subscribed", "reasons": numbers(suback.Reasons), "properties": properties}, nil
	})
}

func (a *adapter) unsubscribe(command *contract.Command) contract.Answer {
	users := paho.UserPropertiesFromPacketUser(given(&command.Properties).User)
	packet := &paho.Unsubscribe{Topics: command.TopicFilters, Properties: &paho.UnsubscribeProperties{User: users}}
	return a.inOrder(func(client *paho.Client, of lifetimes) (contract.Event, error) {
		unsuback, err := client.Unsubscribe(of.connection, packet)
		if unsuback == nil {
			return nil, err
		}
		properties := explained(unsuback.Properties.ReasonString, unsuback.Properties.User)
		return contract.Event{"event": "unsubscribed", "reasons": numbers(unsuback.Reasons), "properties": properties}, nil
	})
}

func (a *adapter) publish(command *contract.Command) contract.Answer {
	packet := &paho.Publish{Topic: command.Topic, Payload: command.Payload, QoS: command.QoS, Retain: command.Retain}
	packet.InitProperties(given(&command.Properties))
	return a.inOrder(func(client *paho.Client, of lifetimes) (contract.Event, error) {
		said, err := client.Publish(of.session, packet)
		if said == nil {
			return nil, err
		}
		properties := &contract.Properties{}
		if said.Properties != nil {
			properties = explained(said.Properties.ReasonString, said.Properties.User)
		}
		if said.ReasonCode >= 0x80 && said.ReasonCode != packets.PubcompPacketIdentifierNotFound {
			return nil, &contract.Unsuccessful{Kind: "refused", Reason: &said.ReasonCode, Properties: properties}
		}
		return contract.Event{"event": "published", "reason": said.ReasonCode, "properties": properties}, nil
	})
}

func (a *adapter) ack(command *contract.Command) contract.Answer {
	if command.Reason != 0 {
		return func() (contract.Event, error) { return nil, &contract.Unsuccessful{Kind: "unsupported"} }
	}
	a.lock.Lock()
	defer a.lock.Unlock()
	message := a.messages[command.Number-1]
	err := message.by.Ack(message.packet)
	return func() (contract.Event, error) { return contract.Event{"event": "acked"}, err }
}

func (a *adapter) auth(command *contract.Command) contract.Answer {
	properties := given(&command.Properties)
	a.lock.Lock()
	a.authData = properties.AuthData
	a.lock.Unlock()
	packet := &paho.Auth{ReasonCode: packets.AuthReauthenticate}
	packet.InitProperties(properties)
	return a.inOrder(func(client *paho.Client, of lifetimes) (contract.Event, error) {
		said, err := client.Authenticate(of.connection, packet)
		if err != nil || !said.Success {
			return nil, contract.ErrCutOff
		}
		return contract.Event{"event": "authenticated"}, nil
	})
}

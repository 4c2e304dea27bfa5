package main

import (
	"contract"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
)

// The contract's values in those of paho.golang, there and back.

func text(given *string) string {
	if given == nil {
		return ""
	}
	return *given
}

func some(given string) *string {
	if given == "" {
		return nil
	}
	return &given
}

func truth(given *byte, absent bool) bool {
	return given == nil && absent || given != nil && *given == 1
}

// denied shows what is not there; what is, may have been said or not.
func denied(isAvailable bool) *byte {
	if isAvailable {
		return nil
	}
	return paho.Byte(0)
}

// given has the properties that the library's packets take theirs from.
func given(p *contract.Properties) *packets.Properties {
	made := &packets.Properties{
		PayloadFormat: p.PayloadFormatIndicator, MessageExpiry: p.MessageExpiryInterval, ContentType: text(p.ContentType),
		ResponseTopic: text(p.ResponseTopic), CorrelationData: p.CorrelationData, TopicAlias: p.TopicAlias,
		WillDelayInterval: p.WillDelayInterval, AuthMethod: text(p.AuthenticationMethod), AuthData: p.AuthenticationData,
		SessionExpiryInterval: p.SessionExpiryInterval, ReasonString: text(p.ReasonString),
		ServerReference: text(p.ServerReference),
	}
	for _, pair := range p.UserProperty {
		made.User = append(made.User, packets.User{Key: pair[0], Value: pair[1]})
	}
	if len(p.SubscriptionIdentifier) > 0 {
		made.SubscriptionIdentifier = &p.SubscriptionIdentifier[0]
	}
	return made
}

func ofConnect(p *contract.Properties) *paho.ConnectProperties {
	return &paho.ConnectProperties{
		SessionExpiryInterval: p.SessionExpiryInterval, ReceiveMaximum: p.ReceiveMaximum,
		TopicAliasMaximum: p.TopicAliasMaximum, MaximumPacketSize: p.MaximumPacketSize,
		AuthMethod: text(p.AuthenticationMethod), AuthData: p.AuthenticationData,
		RequestProblemInfo:  truth(p.RequestProblemInformation, true),
		RequestResponseInfo: truth(p.RequestResponseInformation, false),
		User:                paho.UserPropertiesFromPacketUser(given(p).User),
	}
}

func subscriptions(wanted []contract.Subscription) []paho.SubscribeOptions {
	made := []paho.SubscribeOptions{}
	for _, each := range wanted {
		made = append(made, paho.SubscribeOptions{Topic: each.TopicFilter, QoS: each.QoS, NoLocal: each.NoLocal,
			RetainAsPublished: each.RetainAsPublished, RetainHandling: each.RetainHandling})
	}
	return made
}

// explained has what acknowledgements say.
func explained(reason string, users paho.UserProperties) *contract.Properties {
	made := &contract.Properties{ReasonString: some(reason)}
	for _, each := range users {
		made.UserProperty = append(made.UserProperty, [2]string{each.Key, each.Value})
	}
	return made
}

func fromConnack(p *paho.ConnackProperties) *contract.Properties {
	made := explained(p.ReasonString, p.User)
	made.SessionExpiryInterval, made.AssignedClientIdentifier = p.SessionExpiryInterval, some(p.AssignedClientID)
	made.AuthenticationMethod, made.AuthenticationData = some(p.AuthMethod), p.AuthData
	made.ResponseInformation, made.ServerReference = some(p.ResponseInfo), some(p.ServerReference)
	made.MaximumPacketSize, made.ReceiveMaximum = p.MaximumPacketSize, p.ReceiveMaximum
	made.TopicAliasMaximum, made.ServerKeepAlive, made.MaximumQoS = p.TopicAliasMaximum, p.ServerKeepAlive, p.MaximumQoS
	made.WildcardSubscriptionAvailable = denied(p.WildcardSubAvailable)
	made.SubscriptionIdentifierAvailable = denied(p.SubIDAvailable)
	made.SharedSubscriptionAvailable, made.RetainAvailable = denied(p.SharedSubAvailable), denied(p.RetainAvailable)
	return made
}

func fromPublish(p *paho.PublishProperties) *contract.Properties {
	made := explained("", p.User)
	made.PayloadFormatIndicator, made.MessageExpiryInterval = p.PayloadFormat, p.MessageExpiry
	made.ContentType, made.ResponseTopic = some(p.ContentType), some(p.ResponseTopic)
	made.CorrelationData, made.TopicAlias = p.CorrelationData, p.TopicAlias
	if p.SubscriptionIdentifier != nil {
		made.SubscriptionIdentifier = []int{*p.SubscriptionIdentifier}
	}
	return made
}

func fromDisconnect(said *paho.Disconnect) contract.Event {
	event := contract.Event{"by": "broker", "reason": said.ReasonCode}
	if p := said.Properties; p != nil {
		properties := explained(p.ReasonString, p.User)
		properties.SessionExpiryInterval, properties.ServerReference = p.SessionExpiryInterval, some(p.ServerReference)
		event["properties"] = properties
	}
	return event
}

// outlives tells whether a session does so, by what was asked for and what was given.
func outlives(asked, given *uint32) bool {
	if given != nil {
		asked = given
	}
	return asked != nil && *asked > 0
}

// numbers are not base64.
func numbers(codes []byte) []int {
	made := []int{}
	for _, code := range codes {
		made = append(made, int(code))
	}
	return made
}

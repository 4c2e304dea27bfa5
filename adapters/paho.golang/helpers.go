package main

import (
	"context"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
)

// What the library leaves to its application: how long to wait, when something was written, what to authenticate with.

// lifetimes end what waits; the library leaves that waiting for its time limit.
type lifetimes struct {
	connection, session       context.Context
	endConnection, endSession context.CancelFunc
}

func (l *lifetimes) begin(isNewSession bool) {
	l.connection, l.endConnection = context.WithCancel(context.Background())
	if isNewSession {
		l.endSession()
		l.session, l.endSession = context.WithCancel(context.Background())
	}
}

func (l *lifetimes) end(withSession bool) {
	l.endConnection()
	if withSession {
		l.endSession()
	}
}

// pinger is the library's, which tells us when something was written, too.
type pinger struct {
	*paho.DefaultPinger
	sent chan struct{}
}

func (p pinger) PacketSent() {
	p.DefaultPinger.PacketSent()
	select {
	case p.sent <- struct{}{}:
	default:
	}
}

// Authenticate answers each AUTH with the data of the last command.
func (a *adapter) Authenticate(asked *paho.Auth) *paho.Auth {
	a.lock.Lock()
	defer a.lock.Unlock()
	properties := &paho.AuthProperties{AuthMethod: asked.Properties.AuthMethod, AuthData: a.authData}
	return &paho.Auth{ReasonCode: packets.AuthContinueAuthentication, Properties: properties}
}

func (a *adapter) Authenticated() {}

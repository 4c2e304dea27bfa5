package contract

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// Link is a client's network connection, one after another: what is open, and whether its end is the application's wish.
type Link struct {
	lock   sync.Mutex
	conn   net.Conn
	lost   chan struct{} // closed when the connection has ended; nil before the first
	over   bool
	wanted bool
}

// Begin forgets the connection before.
func (l *Link) Begin() {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.conn, l.lost, l.over, l.wanted = nil, make(chan struct{}), false, false
}

// Opened takes what was dialled, and gives it back.
func (l *Link) Opened(conn net.Conn, err error) (net.Conn, error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	if err == nil {
		l.conn = conn
	}
	return conn, err
}

// WasOpen tells whether there was a network connection at all.
func (l *Link) WasOpen() bool {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.conn != nil
}

// Lost is closed when the connection has ended.
func (l *Link) Lost() <-chan struct{} {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.lost
}

// Want says that the application ends the connection.
func (l *Link) Want() {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.wanted = true
}

// Ended takes the library's word that the connection ended, and tells whether it is news to the application.
func (l *Link) Ended() bool {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.lost == nil || l.over {
		return false
	}
	close(l.lost)
	l.over = true
	return !l.wanted
}

// Cut ends the connection beneath the library, and waits until the library noticed where it was told of it.
func (l *Link) Cut(isConnected bool) {
	l.Want()
	l.lock.Lock()
	conn, lost := l.conn, l.lost
	l.lock.Unlock()
	if conn != nil {
		conn.SetReadDeadline(time.Now()) // to close it on this side would be no loss to some libraries
		if isConnected {
			<-lost
		}
		conn.Close()
	}
}

// Trust is a TLS configuration that trusts the certificates in a file.
func Trust(file, host string) *tls.Config {
	pool := x509.NewCertPool()
	if trusted, err := os.ReadFile(file); err != nil || !pool.AppendCertsFromPEM(trusted) {
		fmt.Fprintln(os.Stderr, "cannot read", file)
	}
	return &tls.Config{RootCAs: pool, ServerName: host}
}

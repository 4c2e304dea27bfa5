// aedes as a broker by name: what it is to be stands in a file.
// Belongs here: those wishes in its options. Does not belong here: mending it.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { Aedes } from 'aedes'

const wish = JSON.parse(readFileSync(process.argv[2], 'utf8'))
// By default it takes 23 characters of a client id (3.1.1 MQTT-3.1.3-5 lets it), and 42 messages in its queue.
const broker = await Aedes.createBroker({ maxClientsIdLength: 65535, queueLimit: 10000 })
broker.on('clientError', (client, error) => console.error(client && client.id, error.message))
broker.on('connectionError', (client, error) => console.error('before CONNECT:', error.message))
createServer(broker.handle).listen(wish.port, wish.host)

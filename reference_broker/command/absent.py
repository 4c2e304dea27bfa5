"""What mosquitto_pub and mosquitto_sub have and `pub` and `sub` have not.

Belongs here: each such option, with what to do instead. Does not belong here: the options there are (`options`).
"""

ABSENT = {
    "-A": "the system chooses the address to connect from, by its routes",
    "-S": "give -h and -p; `host -t SRV _mqtt._tcp.DOMAIN` tells them",
    "-o": "every option is given here, and no file is read",
    "-w": "-v prints each message in a line of its own",
    "--watch": "-v prints each message in a line of its own",
    "--ciphers": "the choice is Python's; --tls-version narrows it",
    "--keyform": "--key takes PEM",
    "--message-rate": "pipe into `pv --line-mode --rate`, or see `mqtt-interop bench`",
    "--no-tls": "there is no TLS unless --tls, --cafile, --capath or --tls-use-os-certs ask for it",
    "--proxy": "forward a port, as `ssh -L` does, and give it as -p",
    "--psk": "servers and clients show certificates: --cafile, --cert and --key",
    "--psk-identity": "servers and clients show certificates: --cafile, --cert and --key",
    "--random-filter": "pipe into awk 'BEGIN {srand()} rand() < 0.1'",
    "--retain-handling": "-R and --retained-only choose what is printed",
    "--tls-engine": "--key takes PEM files; a local TLS proxy can hold other keys",
    "--tls-engine-kpass-sha1": "--key takes PEM files; a local TLS proxy can hold other keys",
    "--tls-keylog": "set SSLKEYLOGFILE in the environment",
}
"""Options of mosquitto_pub and mosquitto_sub that are not here, and what to do instead."""

module adapter

go 1.24.0

require (
	contract v0.0.0
	github.com/eclipse/paho.golang v0.23.0
)

replace contract => ../shared/go

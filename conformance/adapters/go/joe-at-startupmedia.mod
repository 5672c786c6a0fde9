// The adapter over a fork: go build -modfile=joe-at-startupmedia.mod -tags joe

module goipc-adapter-go

go 1.21

require github.com/james-barrow/golang-ipc v1.2.4

require (
	github.com/joe-at-startupmedia/golang-ipc v1.3.5 // indirect
	github.com/sirupsen/logrus v1.9.3 // indirect
	golang.org/x/sys v0.0.0-20220715151400-c0bba94af5f8 // indirect
)

replace github.com/james-barrow/golang-ipc => ./forks/joe-at-startupmedia

// A cheap SSH server for benchmarks: what it costs is little, so a client's own time can be seen.
//
//	server ADDRESS HOSTKEY AUTHORIZED REPORT ANSWER
//
// Any public key of AUTHORIZED may log in. A command with "cat report" in it gets REPORT. Any other is a visit: its
// input is read to the end, the nonce is found in it, and ANSWER comes back with that nonce for every NONCE in it.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"log"
	"net"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
)

var first = []byte("\nipsecfleet 1 ") // how a request begins, behind the program's end

func read(path string) []byte {
	data, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	return data
}

func configured(hostKey, authorized string) *ssh.ServerConfig {
	allowed, _, _, _, err := ssh.ParseAuthorizedKey(read(authorized))
	if err != nil {
		log.Fatal(err)
	}
	config := &ssh.ServerConfig{
		// the banner is OpenSSH's, for what it lets clients do: this server takes pipelined messages as well
		ServerVersion: "SSH-2.0-OpenSSH_9.9",
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if !bytes.Equal(key.Marshal(), allowed.Marshal()) {
				return nil, io.EOF
			}
			return nil, nil
		},
	}
	signer, err := ssh.ParsePrivateKey(read(hostKey))
	if err != nil {
		log.Fatal(err)
	}
	config.AddHostKey(signer)
	return config
}

func answered(input, answer []byte) []byte {
	if zipped, err := gzip.NewReader(bytes.NewReader(input)); err == nil {
		input, _ = io.ReadAll(zipped)
	}
	begins := bytes.LastIndex(input, first)
	if begins < 0 {
		return []byte("no request\n")
	}
	begins += len(first)
	nonce, _, _ := bytes.Cut(input[begins:], []byte("\n"))
	return bytes.ReplaceAll(answer, []byte("NONCE"), nonce)
}

func command(request *ssh.Request) string {
	length := binary.BigEndian.Uint32(request.Payload)
	return string(request.Payload[4 : 4+length])
}

func session(opened ssh.NewChannel, report, answer []byte) {
	channel, requests, err := opened.Accept()
	if err != nil {
		return
	}
	for request := range requests {
		request.Reply(true, nil) // a terminal too, for those that want one
		if request.Type != "exec" {
			continue
		}
		reply := report
		if !strings.Contains(command(request), "cat report") {
			input, _ := io.ReadAll(channel)
			reply = answered(input, answer)
		}
		channel.Write(reply)
		channel.CloseWrite()
		channel.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
		channel.Close()
	}
}

func serve(conn net.Conn, config *ssh.ServerConfig, report, answer []byte) {
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		conn.Close()
		return
	}
	go ssh.DiscardRequests(requests)
	for opened := range channels {
		go session(opened, report, answer)
	}
}

func main() {
	config := configured(os.Args[2], os.Args[3])
	report, answer := read(os.Args[4]), read(os.Args[5])
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(conn, config, report, answer)
	}
}

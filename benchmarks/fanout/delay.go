// Two TUN devices, joined with a delay: what goes in at one comes out at the other so much later, in its order.
//
//	delay NAMESPACE1 TUN1 NAMESPACE2 TUN2 MILLISECONDS
//
// Packets are delayed, not streams: connecting, Nagle, delayed acknowledgements and slow start are as on a long line.
package main

import (
	"log"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

const (
	setIff    = 0x400454ca
	tunNoInfo = 0x1001
	newNet    = 0x40000000
	setNS     = 308 // of amd64; on arm64 it is 268
	capacity  = 1 << 16
)

type packet struct {
	due  time.Time
	data []byte
}

func enter(namespace string) {
	fd, err := syscall.Open("/run/netns/"+namespace, syscall.O_RDONLY, 0)
	if err != nil {
		log.Fatal(namespace, ": ", err)
	}
	number := uintptr(setNS)
	if runtime.GOARCH == "arm64" {
		number = 268
	}
	if _, _, code := syscall.RawSyscall(number, uintptr(fd), newNet, 0); code != 0 {
		log.Fatal("setns ", namespace, ": ", code)
	}
	syscall.Close(fd)
}

func open(namespace, name string) int {
	enter(namespace)
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR, 0)
	if err != nil {
		log.Fatal("/dev/net/tun: ", err)
	}
	var request [40]byte
	copy(request[:16], name)
	request[16], request[17] = tunNoInfo&0xff, tunNoInfo>>8
	if _, _, code := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), setIff, uintptr(unsafe.Pointer(&request[0]))); code != 0 {
		log.Fatal(name, ": ", code)
	}
	return fd
}

func carry(from, to int, delay time.Duration) {
	line := make(chan packet, capacity)
	go func() {
		for waiting := range line {
			time.Sleep(time.Until(waiting.due))
			syscall.Write(to, waiting.data)
		}
	}()
	buffer := make([]byte, 65536)
	for {
		n, err := syscall.Read(from, buffer)
		if err != nil {
			log.Fatal("read: ", err)
		}
		line <- packet{time.Now().Add(delay), append([]byte(nil), buffer[:n]...)}
	}
}

func main() {
	runtime.LockOSThread()
	milliseconds, err := strconv.ParseFloat(os.Args[5], 64)
	if err != nil {
		log.Fatal(err)
	}
	delay := time.Duration(milliseconds * float64(time.Millisecond))
	one, two := open(os.Args[1], os.Args[2]), open(os.Args[3], os.Args[4])
	os.Stdout.WriteString("joined\n")
	go carry(one, two, delay)
	go carry(two, one, delay)
	select {}
}

package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ended is done when somebody asks this process to end.
func ended() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
}

// pause holds a pod's namespaces open. With a shared process namespace it is the parent of orphans, too.
func pause([]string) error {
	return initProcess(nil)
}

// initProcess is the first process of a process namespace: it does nothing but bury the dead.
func initProcess([]string) error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return nil
		}
		for {
			var status syscall.WaitStatus
			if pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
	return nil
}

// sleep waits for seconds, for a duration like 5m, or for ever; unlike the usual one it ends at once when asked to.
func sleep(arguments []string) error {
	until, cancel := ended()
	defer cancel()
	if len(arguments) == 0 || arguments[0] == "infinity" || arguments[0] == "inf" {
		<-until.Done()
		return nil
	}
	length, err := duration(arguments[0])
	if err != nil {
		return err
	}
	select {
	case <-time.After(length):
	case <-until.Done():
	}
	return nil
}

func duration(text string) (time.Duration, error) {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		return time.Duration(seconds * float64(time.Second)), nil
	}
	days, isDays := strings.CutSuffix(text, "d")
	if number, err := strconv.ParseFloat(days, 64); isDays && err == nil {
		return time.Duration(number * 24 * float64(time.Hour)), nil
	}
	length, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no time: say seconds, a duration like 5m, or infinity", text)
	}
	return length, nil
}

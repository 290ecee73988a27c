// Command broker is the Kafka broker of the dev cluster: franz-go's in-process cluster with one node behind a
// small command line. It speaks the Kafka protocol on one loopback port and keeps topics in memory, or in
// --data-dir, so that a restart on the same port looks to clients like a broker that was away for a moment.
//
// When it accepts connections it prints one JSON line {"address": "127.0.0.1:9092"} on standard output and, with
// --ready-file, writes the same line into that file. Logs go to standard error. SIGTERM and SIGINT stop it with
// exit code 0; bad flags end it with 2, anything else that fails with 1.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr, stop))
}

// run serves until a signal arrives on stop and returns the exit code.
func run(args []string, stdout, stderr io.Writer, stop <-chan os.Signal) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case o.version:
		fmt.Fprintln(stdout, versions())
		return 0
	}
	cluster, err := kfake.NewCluster(o.clusterOptions(stderr)...)
	if err != nil {
		fmt.Fprintf(stderr, "broker: cannot serve on %s: %v\n", o.address(), err)
		return 1
	}
	defer cluster.Close()
	if err := announce(cluster.ListenAddrs()[0], o.readyFile, stdout); err != nil {
		fmt.Fprintf(stderr, "broker: cannot say that it is ready: %v\n", err)
		return 1
	}
	fmt.Fprintf(stderr, "broker: stopped by %v\n", <-stop)
	return 0
}

type options struct {
	host       string
	port       int
	readyFile  string
	dataDir    string
	partitions int
	topics     topicFlags
	version    bool
}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("broker", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.host, "host", "127.0.0.1", "address to listen on and to advertise to clients")
	flags.IntVar(&o.port, "port", 0, "port to listen on; 0 takes a free one")
	flags.StringVar(&o.readyFile, "ready-file", "", "file that gets the ready line when connections are accepted")
	flags.StringVar(&o.dataDir, "data-dir", "", "folder that keeps topics and offsets over a restart; empty keeps them in memory")
	flags.IntVar(&o.partitions, "default-partitions", 4, "partitions of a topic that is created by its first use")
	flags.Var(&o.topics, "topic", "topic to create at start as `name:partitions`; may be repeated")
	flags.BoolVar(&o.version, "version", false, "print the version and exit")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if err := o.check(flags.Args()); err != nil {
		fmt.Fprintln(stderr, "broker:", err)
		return nil, err
	}
	return o, nil
}

func (o *options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q: everything is a flag, see --help", rest[0])
	case o.port < 0 || o.port > 65535:
		return fmt.Errorf("--port %d: write a port from 0 (any free one) to 65535", o.port)
	case o.partitions < 1:
		return fmt.Errorf("--default-partitions %d: write 1 or more", o.partitions)
	}
	return nil
}

func (o *options) address() string { return net.JoinHostPort(o.host, strconv.Itoa(o.port)) }

func (o *options) clusterOptions(stderr io.Writer) []kfake.Opt {
	opts := []kfake.Opt{
		kfake.Ports(o.port),
		// kfake knows only 127.0.0.1; the dev cluster gives each part its own loopback address.
		kfake.ListenFn(func(network, _ string) (net.Listener, error) { return net.Listen(network, o.address()) }),
		kfake.ClusterID("veriramp-dev"),
		kfake.AllowAutoTopicCreation(),
		kfake.DefaultNumPartitions(o.partitions),
		kfake.WithLogger(kfake.BasicLogger(stderr, kfake.LogLevelWarn)),
	}
	for _, t := range o.topics {
		opts = append(opts, kfake.SeedTopics(t.partitions, t.name))
	}
	if o.dataDir != "" {
		opts = append(opts, kfake.DataDir(o.dataDir))
	}
	return opts
}

type topic struct {
	name       string
	partitions int32
}

// topicFlags collects the values of --topic.
type topicFlags []topic

func (f *topicFlags) String() string {
	parts := make([]string, len(*f))
	for i, t := range *f {
		parts[i] = fmt.Sprintf("%s:%d", t.name, t.partitions)
	}
	return strings.Join(parts, ",")
}

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// Set parses one name:partitions.
func (f *topicFlags) Set(value string) error {
	name, count, found := strings.Cut(value, ":")
	partitions, err := strconv.ParseInt(count, 10, 32)
	if !found || err != nil || partitions < 1 || !topicName.MatchString(name) {
		return errors.New("write name:partitions, for example verdicts:4, with letters, digits, '.', '_' and '-' in the name")
	}
	*f = append(*f, topic{name: name, partitions: int32(partitions)})
	return nil
}

// versions names what this binary was really built from, as the linker recorded it.
func versions() string {
	words := []string{"veriramp broker"}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if name, ours := strings.CutPrefix(dep.Path, "github.com/twmb/"); ours && !strings.HasSuffix(name, "kmsg") {
				words = append(words, name+" "+dep.Version)
			}
		}
	}
	return strings.Join(words, ", ")
}

// announce prints the ready line and puts it into readyFile by rename, so that a reader never sees half of it.
func announce(address, readyFile string, stdout io.Writer) error {
	line, err := json.Marshal(map[string]string{"address": address})
	if err != nil {
		return err
	}
	line = append(line, '\n')
	if readyFile != "" {
		part := readyFile + ".part"
		if err := os.WriteFile(part, line, 0o600); err != nil {
			return err
		}
		if err := os.Rename(part, readyFile); err != nil {
			return err
		}
	}
	_, err = stdout.Write(line)
	return err
}

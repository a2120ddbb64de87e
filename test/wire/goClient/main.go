// Etcd's own Go client against one member: prints one line for each thing that went well.
//
// The test builds it by itself where Debian's golang-go and golang-etcd-server-dev are installed.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"go.etcd.io/etcd/clientv3"
	"go.etcd.io/etcd/clientv3/concurrency"
	"google.golang.org/grpc"
	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
)

func main() {
	config := clientv3.Config{Endpoints: []string{os.Args[1]}, DialTimeout: 30 * time.Second}
	if len(os.Args) > 2 {
		issuer, err := os.ReadFile(os.Args[2])
		must(err)
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(issuer)
		config.TLS = &tls.Config{RootCAs: roots}
	}
	client, err := clientv3.New(config)
	must(err)
	defer client.Close()
	context, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()

	watch := client.Watch(context, "go/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	<-watch
	_, err = client.Put(context, "go/key", "value")
	must(err)
	got, err := client.Get(context, "go/", clientv3.WithPrefix())
	must(err)
	fmt.Printf("get %s=%s\n", got.Kvs[0].Key, got.Kvs[0].Value)
	event := (<-watch).Events[0]
	fmt.Printf("watch %v %s\n", event.Type, event.Kv.Key)

	txn, err := client.Txn(context).
		If(clientv3.Compare(clientv3.Value("go/key"), "=", "value")).
		Then(clientv3.OpDelete("go/key")).Commit()
	must(err)
	fmt.Println("txn", txn.Succeeded, txn.Responses[0].GetResponseDeleteRange().Deleted)

	session, err := concurrency.NewSession(client, concurrency.WithTTL(30))
	must(err)
	mutex := concurrency.NewMutex(session, "go-lock")
	must(mutex.Lock(context))
	must(mutex.Unlock(context))
	fmt.Println("lock")
	must(session.Close())
	status, err := client.Status(context, os.Args[1])
	must(err)
	reflect(context, client.ActiveConnection())
	fmt.Println("status", status.Version)
}

// What grpcurl asks of a server: its services, and the file that describes one of them.
func reflect(context context.Context, connection *grpc.ClientConn) {
	asked := []*reflection.ServerReflectionRequest{
		{MessageRequest: &reflection.ServerReflectionRequest_ListServices{}},
		{MessageRequest: &reflection.ServerReflectionRequest_FileContainingSymbol{
			FileContainingSymbol: "etcdserverpb.KV",
		}},
	}
	stream, err := reflection.NewServerReflectionClient(connection).ServerReflectionInfo(context)
	must(err)
	services, files := 0, 0
	for _, request := range asked {
		must(stream.Send(request))
		answer, err := stream.Recv()
		must(err)
		services += len(answer.GetListServicesResponse().GetService())
		files += len(answer.GetFileDescriptorResponse().GetFileDescriptorProto())
	}
	must(stream.CloseSend())
	fmt.Println("reflection", services > 5, files > 0)
}

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// The client of members in other processes, for programs of Node.
import { Client } from "./client.ts";
import { dialNodeSocket } from "./nodeSocket.ts";
import { type ConnectOptions, SocketChannel } from "./socketChannel.ts";

/** A client of the members at these URLs: ws or wss, host and port. It connects by itself, again and again. */
export function connect(urls: string | readonly string[], options: ConnectOptions = {}): Client {
  return new Client(new SocketChannel([urls].flat(), dialNodeSocket, options));
}

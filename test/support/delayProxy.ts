// A way to a server that takes time: whatever goes through arrives so much later, in order, in both
// directions. For kernels without netem, and for a few hosts out of all.
import { connect, createServer, type Server, type Socket } from "node:net";

export interface DelayTarget {
  readonly listenPort: number;
  readonly port: number;
  /** One way. */
  readonly delayMs: number;
}

export class DelayProxy implements AsyncDisposable {
  /** For what comes from now on. */
  delayMs: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, delayMs: number) {
    this.#server = server;
    this.delayMs = delayMs;
  }

  static async start({ listenPort, port, delayMs }: DelayTarget): Promise<DelayProxy> {
    const server = createServer({ noDelay: true, allowHalfOpen: true });
    const proxy = new DelayProxy(server, delayMs);
    server.on("connection", (near) => {
      const far = connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
      proxy.#join(near, far);
      proxy.#join(far, near);
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(listenPort, "127.0.0.1", resolve);
    });
    return proxy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Timers of one duration end in the order in which they began. */
  #join(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on("data", (chunk) => void setTimeout(() => to.write(chunk), this.delayMs));
    from.on("end", () => void setTimeout(() => to.end(), this.delayMs));
    from.on("error", () => to.destroy());
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroySoon();
    });
  }
}

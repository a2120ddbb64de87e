// One JSON request to a gateway over node:http, and its answer as the comparisons want it.
import { Agent, request } from "node:http";

export interface GatewayRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
}

export interface GatewayAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

export class GatewayClient {
  readonly #host: string;
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true });

  /** @param endpoint host:port. */
  constructor(endpoint: string) {
    const { hostname, port } = new URL(`http://${endpoint}`);
    this.#host = hostname;
    this.#port = Number(port);
  }

  ask({ method, path, headers = {}, body = "" }: GatewayRequest): Promise<GatewayAnswer> {
    return new Promise((resolve, reject) => {
      const asked = request({
        host: this.#host,
        port: this.#port,
        agent: this.#agent,
        ...{ method, path },
        headers: { ...headers, "content-length": Buffer.byteLength(body) },
      });
      asked.on("error", reject);
      asked.on("response", (response) => {
        const parts: Buffer[] = [];
        response.on("data", (part: Buffer) => parts.push(part));
        response.on("error", reject);
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            contentType: response.headers["content-type"] ?? "",
            headers: Object.fromEntries(
              Object.entries(response.headers).map(([name, value]) => [name, `${value}`]),
            ),
            text: Buffer.concat(parts).toString("utf8"),
          }),
        );
      });
      asked.end(body);
    });
  }

  post(path: string, message: object): Promise<GatewayAnswer> {
    return this.ask({ method: "POST", path, body: JSON.stringify(message) });
  }

  /** Sends a stream's messages and takes lines of its answer until there are `count`, then leaves. */
  lines(asked: GatewayRequest, count: number): Promise<readonly string[]> {
    return new Promise((resolve, reject) => {
      const { method, path, headers = {}, body = "" } = asked;
      const sent = request({ host: this.#host, port: this.#port, method, path, headers });
      sent.on("error", reject);
      sent.on("response", (response) => {
        let text = "";
        const take = (): readonly string[] => text.split("\n").slice(0, -1);
        response.on("data", (part: Buffer) => {
          text += part.toString("utf8");
          if (take().length < count) return;
          resolve(take().slice(0, count));
          sent.destroy();
        });
        response.on("end", () => resolve(take()));
        response.on("error", () => resolve(take()));
      });
      sent.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

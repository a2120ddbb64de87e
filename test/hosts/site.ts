// Where hosts are: networks of their own where they may be made, else addresses of this one.
export interface Site extends AsyncDisposable {
  /** Hosts, numbered from 1. */
  readonly count: number;
  /** host:port at which a member on this host serves clients, whatever harm there is. */
  endpoint(host: number): string;
  /** Where a member on this host listens for others. */
  peerListenUrl(host: number): string;
  /** Where others call it. */
  peerUrl(host: number): string;
  /** A command line that runs `args` on this host, in the very process that is started. */
  on(host: number, args: readonly string[]): readonly string[];
  /** What `from` says to `to` is lost from now on. */
  cut(from: number, to: number): Promise<void>;
  /** So many of the packets that this host sends are lost. */
  lose(from: number, percent: number): Promise<void>;
  /** What this host is told takes so much longer. @returns false where that cannot be. */
  delay(host: number, ms: number): Promise<boolean>;
  /** Every link is whole again. */
  mend(): Promise<void>;
}

// Waiting for a state that callbacks change.

export class Waiters {
  readonly #looks = new Set<() => void>();

  /** Something changed: everybody who waits looks again. */
  wake(): void {
    for (const look of [...this.#looks]) look();
  }

  /** Resolves once `reached` is true; rejects with what it throws. */
  until(reached: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        try {
          if (!reached()) return;
          resolve();
        } catch (error) {
          reject(error);
        }
        this.#looks.delete(look);
      };
      this.#looks.add(look);
      look();
    });
  }
}

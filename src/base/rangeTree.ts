// Intervals over keys, and which of them hold a key. Intervals of one key lie in a Map; the others in
// an AVL tree ordered by start, in which each node knows the largest end below it (CLRS, "Interval trees").

/** Keys in [from, to), latin1; without `to` up to the end. */
export interface Interval {
  readonly from: string;
  readonly to: string | undefined;
}

interface Node<T> {
  readonly interval: Interval;
  readonly item: T;
  left: Node<T> | undefined;
  right: Node<T> | undefined;
  height: number;
  /** Largest end of this node and all below; undefined: no end. */
  end: string | undefined;
}

/** At most one item per interval. Intervals are never empty: `from` < `to`. */
export class RangeTree<T> {
  readonly #points = new Map<string, T>();
  #root: Node<T> | undefined;
  #rangeCount = 0;

  /** Items, those of single keys included. */
  get size(): number {
    return this.#points.size + this.#rangeCount;
  }

  get(interval: Interval): T | undefined {
    if (isPoint(interval)) return this.#points.get(interval.from);
    let node = this.#root;
    while (node !== undefined) {
      const order = compare(interval, node.interval);
      if (order === 0) return node.item;
      node = order < 0 ? node.left : node.right;
    }
    return undefined;
  }

  /** Adds an item; its interval has none yet. */
  add(interval: Interval, item: T): void {
    if (isPoint(interval)) this.#points.set(interval.from, item);
    else {
      this.#root = inserted(this.#root, leafOf(interval, item));
      this.#rangeCount++;
    }
  }

  /** Removes the item of an interval that has one. */
  delete(interval: Interval): void {
    if (isPoint(interval)) this.#points.delete(interval.from);
    else {
      this.#root = removed(this.#root, interval);
      this.#rangeCount--;
    }
  }

  /** Items whose interval holds `key`, in no order; `visit` must not change the tree. */
  visit(key: string, visit: (item: T) => void): void {
    const point = this.#points.get(key);
    if (point !== undefined) visit(point);
    visitNode(this.#root, key, visit);
  }
}

const isPoint = ({ from, to }: Interval): boolean =>
  to !== undefined && to.length === from.length + 1 && to.endsWith("\0") && to.startsWith(from);

function visitNode<T>(top: Node<T> | undefined, key: string, visit: (item: T) => void): void {
  let node = top;
  // The right side is walked by the loop, so that the stack grows with left turns only.
  while (node !== undefined && (node.end === undefined || key < node.end)) {
    visitNode(node.left, key, visit);
    const { from, to } = node.interval;
    if (key < from) return;
    if (to === undefined || key < to) visit(node.item);
    node = node.right;
  }
}

/** By start, then by end; no end is the largest. */
function compare(a: Interval, b: Interval): number {
  if (a.from !== b.from) return a.from < b.from ? -1 : 1;
  if (a.to === b.to) return 0;
  if (a.to === undefined) return 1;
  return b.to === undefined || a.to < b.to ? -1 : 1;
}

function leafOf<T>(interval: Interval, item: T): Node<T> {
  return { interval, item, left: undefined, right: undefined, height: 1, end: interval.to };
}

function inserted<T>(node: Node<T> | undefined, leaf: Node<T>): Node<T> {
  if (node === undefined) return leaf;
  if (compare(leaf.interval, node.interval) < 0) node.left = inserted(node.left, leaf);
  else node.right = inserted(node.right, leaf);
  return balanced(node);
}

function removed<T>(node: Node<T> | undefined, interval: Interval): Node<T> | undefined {
  if (node === undefined) return undefined;
  const order = compare(interval, node.interval);
  if (order < 0) node.left = removed(node.left, interval);
  else if (order > 0) node.right = removed(node.right, interval);
  else if (node.left === undefined) return node.right;
  else if (node.right === undefined) return node.left;
  else {
    const next = leafOf(firstOf(node.right).interval, firstOf(node.right).item);
    next.left = node.left;
    next.right = removed(node.right, next.interval);
    return balanced(next);
  }
  return balanced(node);
}

function firstOf<T>(top: Node<T>): Node<T> {
  let node = top;
  while (node.left !== undefined) node = node.left;
  return node;
}

function balanced<T>(node: Node<T>): Node<T> {
  const { left, right } = node;
  const lean = heightOf(left) - heightOf(right);
  if (lean > 1 && left !== undefined) {
    if (heightOf(left.left) < heightOf(left.right)) node.left = rotatedLeft(left);
    return rotatedRight(node);
  }
  if (lean < -1 && right !== undefined) {
    if (heightOf(right.right) < heightOf(right.left)) node.right = rotatedRight(right);
    return rotatedLeft(node);
  }
  return measured(node);
}

function rotatedRight<T>(node: Node<T>): Node<T> {
  const top = node.left;
  if (top === undefined) return measured(node);
  node.left = top.right;
  top.right = measured(node);
  return measured(top);
}

function rotatedLeft<T>(node: Node<T>): Node<T> {
  const top = node.right;
  if (top === undefined) return measured(node);
  node.right = top.left;
  top.left = measured(node);
  return measured(top);
}

function measured<T>(node: Node<T>): Node<T> {
  const { left, right } = node;
  node.height = 1 + Math.max(heightOf(left), heightOf(right));
  let end = node.interval.to;
  if (left !== undefined) end = later(end, left.end);
  if (right !== undefined) end = later(end, right.end);
  node.end = end;
  return node;
}

function later(a: string | undefined, b: string | undefined): string | undefined {
  if (a === undefined || b === undefined) return undefined;
  return a < b ? b : a;
}

const heightOf = (node: Node<unknown> | undefined): number => node?.height ?? 0;

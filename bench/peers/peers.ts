// The libraries that `lowrank bench peers` compares with, as one bundle (dist/peers.mjs).
import './iterator-helpers';
import type { Peer } from '../../src/cli/verbs/bench-peer';
import { jaxPeer } from './jax';
import { tfjsPeer } from './tfjs';

export const peers: readonly Peer[] = [jaxPeer, tfjsPeer];

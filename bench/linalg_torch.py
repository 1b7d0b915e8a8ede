"""What `lowrank bench linalg` is compared with: PyTorch's SVD on the same shapes, one JSON object a line.

    python3 bench/linalg_torch.py [--device cuda] [--rank 64] [--runs 5] [--layers 30] [--full]

Shapes are those of SmolLM2-135M: q and o 576 x 576, k and v 192 x 576, gate and up 1536 x 576, down 576 x 1536 in each of 30 layers, batched
by shape, f32 with TF32 off. `svd_lowrank` draws as many columns and does as many power iterations as ours. Times include copying
the factors to the host, as ours do; `ms_device` leaves that out.
"""
import argparse
import json
import statistics
import time

import torch

SHAPES = {"q,o": (576, 576, 2), "k,v": (192, 576, 2), "gate,up": (1536, 576, 2), "down": (576, 1536, 1)}


def timed(device, runs, work):
    """Median milliseconds of `work` up to the host's copies, and of the part on the device alone."""
    whole, inner = [], []
    for run in range(runs + 1):
        wait(device)
        start = time.perf_counter()
        factors = work()
        wait(device)
        middle = time.perf_counter()
        for factor in factors:
            factor.cpu()
        end = time.perf_counter()
        if run > 0:  # the first also pays for the library's start
            whole.append(1000 * (end - start))
            inner.append(1000 * (middle - start))
    return statistics.median(whole), statistics.median(inner)


def wait(device):
    if device == "cuda":
        torch.cuda.synchronize()


def check(a, u, s, vt):
    """Largest reconstruction error and orthogonality error of a batch, in double precision."""
    a, u, s, vt = (t.double() for t in (a, u, s, vt))
    residual = ((u * s[:, None, :]) @ vt - a).flatten(1).norm(dim=1) / a.flatten(1).norm(dim=1)
    eye = torch.eye(u.shape[2], dtype=torch.float64, device=u.device)
    return residual.max().item(), (u.transpose(1, 2) @ u - eye).flatten(1).norm(dim=1).max().item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--oversample", type=int, default=8)
    parser.add_argument("--iterations", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--full", action="store_true", help="the whole SVD too, truncated afterwards: slow")
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.manual_seed(1)
    device, rank = options.device, options.rank
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    print(json.dumps({"event": "device", "device": name, "torch": torch.__version__}), flush=True)

    def low_rank(a):
        u, s, v = torch.svd_lowrank(a, q=rank + options.oversample, niter=options.iterations)
        return u[..., :rank].contiguous(), s[..., :rank].contiguous(), v[..., :rank].mT.contiguous()

    def exact(a):
        u, s, vt = torch.linalg.svd(a, full_matrices=False)
        return u[..., :rank].contiguous(), s[..., :rank].contiguous(), vt[:, :rank].contiguous()

    stacks = {key: 0.02 * torch.randn(copies * options.layers, out, inn, device=device) for key, (out, inn, copies) in SHAPES.items()}
    for method, work in [("svd_lowrank", low_rank)] + ([("linalg.svd", exact)] if options.full else []):
        total, total_device = 0.0, 0.0
        for key, a in stacks.items():
            ms, ms_device = timed(device, options.runs if method == "svd_lowrank" else 1, lambda: work(a))
            total, total_device = total + ms, total_device + ms_device
            residual, orthogonality = check(a, *work(a))
            print(json.dumps({"event": "torch", "method": method, "sites": key, "shape": list(a.shape), "rank": rank, "ms": ms, "ms_device": ms_device, "residual": residual, "orthogonality": orthogonality}), flush=True)
        count = sum(a.shape[0] for a in stacks.values())
        print(json.dumps({"event": "torch", "method": method, "matrices": count, "rank": rank, "ms": total, "ms_device": total_device}), flush=True)


if __name__ == "__main__":
    main()

"""The largest batch whose training step stays below a memory cap: ``find_batch_size.memory_gb=8``.

Measured is what is trained: the configured model, optimiser, averaged weights and precision take two steps on the
costliest batches that the plan could ever make, in a process of their own, so that this one stays as it was.

On CUDA the peak is that of ``torch.cuda.max_memory_allocated``, exact to the byte; what the driver and torch's
allocator hold besides (about 0.5 GB and some 10 %) comes on top, so leave room for it. On a CPU it is the highest
resident memory of the process, Python, libraries and data included, which repeats to within about 5 %.
Evaluation and sampling after training have batch sizes of their own.
"""

from hydramol.runtime.find_batch_size.find import with_found_batch_size

__all__ = ["with_found_batch_size"]

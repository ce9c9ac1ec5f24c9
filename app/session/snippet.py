"""“Copy as Python”: a script that returns the numbers on screen. Text only; quoted with ``repr``; no I/O."""

from __future__ import annotations

from app.model.data import DataReference


def python_snippet(reference: DataReference, leading: tuple[int, ...] = (), host: str = "") -> str:
    """h5py lines that read the node (and the frame) where the file lies.

    Args:
        reference: file and node; without a node the file is opened and its entries are listed.
        leading: the frame on screen, if any.
        host: where the file lies when it is not this computer.
    """
    lines = []
    if host:
        lines.append(f"# This file lies at {host!r}: run this there.")
    lines += ["import h5py", "try:", "    import hdf5plugin  # noqa: F401  (compression filters)",
              "except ImportError:", "    pass", "", f"with h5py.File({str(reference.file_path)!r}, 'r') as file:"]
    if reference.data_path in ("", "/"):
        lines += ["    names = list(file)", "print(names)"]
    else:
        index = ", ".join(str(i) for i in leading) + ", ..." if leading else "()"
        lines += [f"    node = file[{reference.data_path!r}]",
                  f"    data = node[{index}] if isinstance(node, h5py.Dataset) else list(node)", "print(data)"]
    return "\n".join(lines) + "\n"

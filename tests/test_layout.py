# SPDX-License-Identifier: MIT
"""Every source file has its test file at the mirrored path."""

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [
    path.relative_to(ROOT / "src" / "egbas")
    for path in sorted((ROOT / "src" / "egbas").rglob("*.py"))
    if path.name != "__init__.py"
]


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_source_has_a_test(source: Path) -> None:
    mirror = ROOT / "tests" / source.with_name(f"test_{source.name.lstrip('_')}")
    assert mirror.is_file(), f"{source} has no {mirror.relative_to(ROOT)}"


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_source_names_its_licence(source: Path) -> None:
    assert (ROOT / "src" / "egbas" / source).read_text().startswith("# SPDX-License-Identifier: MIT\n")


def imports_of(path: Path) -> set[str]:
    """Modules of egbas that a file imports, inside functions too, but for types alone."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return found


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize(
    "package", sorted((ROOT / "src" / "egbas").rglob("__init__.py")), ids=lambda path: path.parent.name
)
def test_a_package_says_what_it_exports(package: Path) -> None:
    tree = ast.parse(package.read_text())
    imports = [
        node for node in tree.body if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("egbas")
    ]
    names = {alias.asname or alias.name for node in imports for alias in node.names}
    assigned = [
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    assert bool(names) <= len(assigned), f"{package} re-exports names and has no __all__"
    if package.parent.name not in ("egbas", "formats"):  # which use some of what they import
        assert names <= {value for each in assigned for value in ast.literal_eval(each)}


def test_no_import_cycle() -> None:
    paths = {module_of(path): path for path in (ROOT / "src" / "egbas").rglob("*.py")}

    def module_at(name: str) -> str:  # "egbas.a.b" may be a module, or a name in one
        return name if name in paths else name.rpartition(".")[0]

    arrows = {
        name: {module_at(each) for each in imports_of(path) if each.startswith("egbas.")} & paths.keys()
        for name, path in paths.items()
    }
    assert sum(map(len, arrows.values())) > len(arrows)  # the test sees them
    graphlib.TopologicalSorter(arrows).prepare()  # raises CycleError, with the cycle


def test_the_longest_files_are_there() -> None:
    names = (ROOT / "tests" / "longest.txt").read_text(encoding="utf-8").split()
    assert len(names) == len(set(names)) > 20
    assert all((ROOT / "tests" / name).is_file() for name in names)

"""The renderer: coverage, visibility, light, and the same picture every time."""

import dataclasses

import pytest
import torch
from nvn_recipes.groupgan.data.rendered.paint import paint, surface
from nvn_recipes.groupgan.data.rendered.raster import rasterize
from nvn_recipes.groupgan.data.rendered.render import Surface, project, render
from nvn_recipes.groupgan.data.rendered.rig import load_rig
from nvn_recipes.groupgan.data.rendered.scenes import Nuisance, cast, film


def triangle(*corners, depth=0.5):
    """One triangle of one frame as screen vertices (3, 3, 1); corners in pixels, y down."""
    return torch.tensor([[x, y, depth] for x, y in corners])[..., None]


ONE = torch.tensor([[0, 1, 2]])


def test_a_pixel_is_covered_if_its_center_is():
    seen = rasterize(triangle((0, 0), (0, 4), (4, 4)), ONE, 4)[0]
    expected = torch.tensor([[col <= row for col in range(4)] for row in range(4)])
    assert torch.equal(seen == 0, expected)


def test_what_faces_away_is_not_seen():
    seen = rasterize(triangle((0, 0), (4, 4), (0, 4)), ONE, 4)
    assert (seen == -1).all()


def test_what_is_nearer_hides_what_is_farther():
    near, far = (triangle((0, 0), (0, 8), (8, 8), depth=z) for z in (0.2, 0.8))
    both = torch.tensor([[0, 1, 2], [3, 4, 5]])
    assert set(rasterize(torch.cat([near, far]), both, 8).unique().tolist()) == {-1, 0}
    assert set(rasterize(torch.cat([far, near]), both, 8).unique().tolist()) == {-1, 1}


def test_triangles_may_hang_over_the_border():
    seen = rasterize(triangle((-30, -30), (-30, 40), (40, 40)), ONE, 6)
    assert torch.equal(seen[0] == 0, torch.ones(6, 6).tril().bool())


@pytest.mark.parametrize("seed", range(5))
def test_a_mesh_has_no_holes(seed):
    """A jittered grid of small and large triangles covers every pixel of its square."""
    generator = torch.Generator().manual_seed(seed)
    cells = 13
    y, x = torch.meshgrid(torch.arange(cells + 1.0), torch.arange(cells + 1.0), indexing="ij")
    jitter = 0.3 * torch.rand(2, cells + 1, cells + 1, generator=generator)
    points = torch.stack([x + jitter[0], y + jitter[1], torch.rand(x.shape, generator=generator)])
    points[:2] = points[:2] * (40 / cells) - 3
    number = torch.arange((cells + 1) ** 2).view(cells + 1, cells + 1)
    a, b = number[:-1, :-1].flatten(), number[:-1, 1:].flatten()
    c, d = number[1:, 1:].flatten(), number[1:, :-1].flatten()
    faces = torch.cat([torch.stack([a, d, c], 1), torch.stack([a, c, b], 1)])
    seen = rasterize(points.flatten(1).T[..., None].contiguous(), faces, 32)
    assert (seen >= 0).all()


def test_frames_do_not_mix():
    one, two = triangle((0, 0), (0, 4), (4, 4)), triangle((4, 4), (4, 8), (8, 8))
    together = rasterize(torch.cat([one, two], dim=2), ONE, 8)
    assert torch.equal(together[0], rasterize(one, ONE, 8)[0])
    assert torch.equal(together[1], rasterize(two, ONE, 8)[0])


def test_normals_of_a_sphere_point_outwards():
    height, turn = torch.linspace(-0.95, 0.95, 20), torch.linspace(0, 6.0, 30)
    y, a = torch.meshgrid(height, turn, indexing="ij")
    ring = (1 - y**2).sqrt()
    points = torch.stack([ring * a.sin(), y, ring * a.cos()], -1).reshape(-1, 3)
    number = torch.arange(600).view(20, 30)
    a, b = number[:-1, :-1].flatten(), number[:-1, 1:].flatten()
    c, d = number[1:, 1:].flatten(), number[1:, :-1].flatten()
    faces = torch.cat([torch.stack([a, b, c], 1), torch.stack([a, c, d], 1)])
    normals = Surface.of(faces, points).normals(points[..., None])[..., 0]
    assert ((normals * points).sum(1) > 0.95).all()


@pytest.fixture(scope="module")
def scene():
    rig = load_rig()
    people = cast(rig, 1, range(2))
    takes = film(rig, people, 1, range(2), 1, (0.3, 0.3), Nuisance())
    heads = people.vertices(rig, takes.units, takes.subject)
    return surface(rig), heads, takes, paint(people.looks, 128)


def shoot(scene, chosen, size=32, **changes):
    shared, heads, takes, skins = scene
    chosen = torch.as_tensor(chosen)
    shots = dataclasses.replace(takes.shots.take(chosen), **changes)
    return render(
        shared, heads[..., chosen].contiguous(), shots, skins, takes.subject[chosen], size
    )


@pytest.mark.parametrize("size", [24, 48, 96])
def test_any_size(scene, size):
    pictures = shoot(scene, [0, 1], size)
    assert pictures.shape == (2, 3, size, size)
    assert pictures.dtype == torch.uint8


def test_the_same_frames_are_the_same_pictures(scene):
    assert torch.equal(shoot(scene, range(12)), shoot(scene, range(12)))


def test_threads_and_company_hardly_matter(scene):
    """Vector and scalar code may round exp and pow differently: by a level, in a few samples."""
    together = shoot(scene, range(12)).int()
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = torch.cat([shoot(scene, [k]) for k in range(12)]).int()
    finally:
        torch.set_num_threads(threads)
    assert int((together - alone).abs().max()) <= 1
    assert float((together != alone).float().mean()) < 0.01


def test_the_face_fills_the_frame(scene):
    """With a green background, the middle is skin and the face is most of the picture."""
    green = torch.tensor([[0.0, 1.0, 0.0]] * 2).expand(12, 2, 3)
    pictures = shoot(scene, range(12), 48, back=green).float()
    face = pictures[:, 1] - pictures[:, 0] < 100
    assert 0.6 < float(face.float().mean()) <= 1
    assert (face[:, 12:36, 12:36].float().mean((1, 2)) > 0.99).all()


def test_light_from_the_left_lights_the_left(scene):
    still = torch.eye(3).expand(1, 3, 3)
    left, right = (
        shoot(scene, [0], light=torch.tensor([[x, 0.0, 0.6]]), rotation=still).float().mean((0, 1))
        for x in (-0.8, 0.8)
    )
    middle = slice(8, 24)
    assert left[middle, 8:16].mean() > right[middle, 8:16].mean() + 5
    assert right[middle, 16:24].mean() > left[middle, 16:24].mean() + 5


def test_a_head_that_turns_left_looks_to_the_right_of_the_picture(scene):
    _, heads, takes, _ = scene
    c, s = torch.tensor(0.3).cos(), torch.tensor(0.3).sin()
    turn = torch.stack(
        [torch.stack([c, c * 0, s]), torch.tensor([0.0, 1, 0]), torch.stack([-s, c * 0, c])]
    )
    shots = takes.shots.take(torch.tensor([0]))
    nose = int(load_rig().base[:, 2].argmax())
    straight, turned = (
        project(heads[..., :1], dataclasses.replace(shots, rotation=r[None]), 48)[nose, 0, 0]
        for r in (torch.eye(3), turn)
    )
    assert turned > straight + 2

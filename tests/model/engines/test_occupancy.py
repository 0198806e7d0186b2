from model.engines.occupancy import Occupancy


def test_the_first_image_is_alone_and_the_next_is_not():
    occupancy = Occupancy()
    with occupancy.enter() as first, occupancy.enter() as second:
        assert (first, second) == (True, False)
    with occupancy.enter() as third:
        assert third


def test_no_image_is_alone_while_others_are_expected():
    occupancy = Occupancy()
    for num_images, alone in ((2, False), (1, True), (64, False), (0, True)):
        occupancy.expect(num_images)
        with occupancy.enter() as found:
            assert found is alone


def test_an_error_leaves_no_trace():
    occupancy = Occupancy()
    try:
        with occupancy.enter():
            raise ValueError
    except ValueError:
        pass
    with occupancy.enter() as alone:
        assert alone

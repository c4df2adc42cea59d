"""Record labelled clips of one's own: from a camera, with a countdown, or cut from videos at marks."""

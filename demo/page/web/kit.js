// Hands the player its drum kit.
export default function ({ data }) {
  player.load(data);
}

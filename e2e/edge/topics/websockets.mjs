export default async function check() {}
